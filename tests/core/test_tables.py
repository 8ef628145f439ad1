"""Tables are read with any separator; an error names its line."""

# ruff: noqa: RUF001 (the cells have full-width letters)

import csv
import io
import re

import pytest

from alloy.core.files import InputError
from alloy.core.tables import decode_document, format_csv, read_table, split_lines


def has_known_names(names: list[str]) -> bool:
    return names == ["id", "text"]


def read_rows(text: str) -> list[tuple[int, list[str]]]:
    table = read_table("f.csv", split_lines(text), has_known_names)
    assert table.header == ["id", "text"]
    return [tuple(row) for row in table.rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_separator_and_line_end_is_read(separator: str, end: str) -> None:
    text = end.join(separator.join(cells) for cells in (["id", " text "], ["1", "a"], ["2", '"b, ""c""; d"']))
    assert read_rows(text) == [(2, ["1", "a"]), (3, ["2", 'b, "c"; d'])]


def test_a_row_has_the_number_of_its_first_line_and_rows_without_text_are_skipped() -> None:
    assert read_rows('id,text\n\n1,"a\nb"\n,\n2,c') == [(3, ["1", "a\nb"]), (6, ["2", "c"])]


def test_empty_columns_at_the_end_are_dropped() -> None:
    assert read_rows("id;text;;\n1;a;;\n2;;;\n") == [(2, ["1", "a"]), (3, ["2", ""])]
    assert read_rows("id;text;;\n1;a;;b\n") == [(2, ["1", "a", "", "b"])]


def test_the_separator_in_the_sep_line_of_excel_is_used() -> None:
    assert read_rows("sep=;\nid;text\n1;a, b\n") == [(3, ["1", "a, b"])]
    with pytest.raises(InputError, match=r"^f\.csv:1: .*'~'"):
        read_rows("sep=~\nid~text\n")


def test_a_broken_quote_is_an_error_with_its_line() -> None:
    with pytest.raises(InputError, match=r"^f\.csv:3: .*semicolons"):
        read_rows('id;text\n1;a\n2;"b" c\n')


def test_a_cell_may_be_long() -> None:
    assert read_rows(f"id,text\n1,{'a' * 200_000}\n")[0][1][1] == "a" * 200_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_decoded(encoding: str) -> None:
    assert decode_document("f", "id,tëxt 很好".encode(encoding)) == "id,tëxt 很好"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a\nZürich".encode("cp1252"), r"^f:2: byte 2 .*0xFC.*Windows-1252.*CSV UTF-8"),
        (b"a\x81", r"^f:1: byte 2 .*\(0x81\)"),
        (b"\xff\xfea", "^f: .*UTF-16"),
        (b"PK\x03\x04", "^f: .*workbook"),
        (b"\xd0\xcf\x11\xe0", "^f: .*workbook"),
    ],
)
def test_the_error_of_a_file_that_is_not_unicode_names_the_invalid_byte(data: bytes, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        decode_document("f", data)


CELLS = [
    "=1+1",
    '=HYPERLINK("http://x";"y")',
    "+49 170",
    "-what?",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "'=1",
    "''=1",
    "'quoted'",
    "'",
    "a=b",
    "a,b;c\td|e",
    'say "x"',
    "line\none\r\ntwo\rthree",
    "-",
    "=",
    " =1",
    "é",
    "|cmd' /C calc'!A0",
    "x;=1+1",
    "x|+1;@y;-z",
    "a\n=1",
    "a\r\n\t=1;＝2",
    "'\u2060=1",
    "'\u2060'\u2060=1",
    "x;'\u2060=1",
    "a'\u2060=1",
    "x;'\u2060\t",
]
NUMBERS = [-1, -0.5, 1e-9, 3, "-0.1234", "+3", "-1e-05", ""]


def test_no_cell_becomes_a_formula_and_all_cells_are_read_back_unchanged() -> None:
    header = ["L1", "=description", *(f"n{number}" for number in range(len(NUMBERS)))]
    text = format_csv(header, [[cell, cell, *NUMBERS] for cell in CELLS])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 1 + len(CELLS)
    assert not re.search("[;|\t\r\n][=+@＝＋－＠-]", "".join(row[0] for row in rows))
    for row in rows:
        for cell in row:
            assert not cell.startswith(tuple("=@\t\r\n＝＋－＠"))
            assert not cell.startswith(("+", "-")) or isinstance(float(cell), float)  # a number
    assert [row[2:] for row in rows[1:]] == [[str(number) for number in NUMBERS]] * len(CELLS)
    table = read_table("x.csv", split_lines(text), lambda names: "L1" in names)
    assert [row.cells[:2] for row in table.rows] == [[cell, cell] for cell in CELLS]
    assert table.header[1] == "=description"


@pytest.mark.parametrize("text", ["'@home' was great", "'- really bad", "'-5 degrees' it said", "''=1", "x;'=1"])
def test_a_quote_mark_that_a_user_wrote_is_kept(text: str) -> None:
    assert read_rows(f"id,text\n1,{text}\n") == [(2, ["1", text])]


def test_the_lines_of_a_table_end_with_a_line_feed() -> None:
    assert format_csv(["a", "b"], [[1, "x"], [None, "y"]]) == "a,b\n1,x\n,y\n"
