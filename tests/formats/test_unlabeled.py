"""Comments are read from tables, JSON Lines and text; comments that cannot be labeled are kept with a reason."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, read_lines
from alloy.formats.unlabeled import read_unlabeled

CASES_FOLDER = Path(__file__).parents[3] / "shared/cases/classify"


def read_data(data: bytes | str, name: str = "-") -> list[Any]:
    """Return rows that can be labeled unchanged, and other rows as (id, reason)."""
    data = data if isinstance(data, bytes) else data.encode()
    comments = read_unlabeled(name, data.splitlines(keepends=True))
    return [(comment.row["id"], comment.reason) if comment.reason else comment.row for comment in comments]


TWO_COMMENTS = [{"id": "x", "text": "a, b"}, {"id": "y", "text": "c\nd"}]
FORMATS = {
    "JSON Lines": ('{"id":"x","text":"a, b"}\n\n{"id":"y","text":"c\\nd"}\n', ("-", "f.jsonl", "f.txt", "f.json")),
    "an array": ('[{"id":"x","text":"a, b"},{"id":"y","text":"c\\nd"}]', ("-", "f.json", "f")),
    "an array over lines": ('\n[\n{"id":"x",\n"text":"a, b"},{"id":"y","text":"c\\nd"}\n]', ("-", "f.json", "f")),
    "a table": ('id,text\nx,"a, b"\n"y","c\nd"\n', ("-", "f.csv", "f")),
    "a table with semicolons": ('id;text\nx;a, b\n"y";"c\nd"\n', ("-", "f.csv", "F.CSV.gz")),
    "a table with tabs": ('"id"\t"text"\r\nx\ta, b\r\n"y"\t"c\nd"\r\n', ("-", "f.csv", "f.tsv")),
}


@pytest.mark.parametrize("byte_order_mark", ["", "\ufeff"])
@pytest.mark.parametrize(("data", "names"), FORMATS.values(), ids=FORMATS)
def test_the_format_follows_from_name_and_content(data: str, names: tuple[str, ...], byte_order_mark: str) -> None:
    for name in names:
        assert read_data(byte_order_mark + data, name) == TWO_COMMENTS, name
        assert read_data(f"\ufeff{data}".encode("utf-16-le"), name) == TWO_COMMENTS, name


def test_plain_lines_are_comments() -> None:
    lines = "The lock jams, again.\n\n  很好 \nid, text and more\n[SIC] this is no array\n"
    assert [row["text"] for row in read_data(lines)] == ["The lock jams, again.", "很好", *lines.splitlines()[3:]]
    assert [row["id"] for row in read_data(lines, "f.txt")] == ["1", "3", "4", "5"]
    assert [row["text"] for row in read_data("[SIC] this is no array\n{this} neither\n")] == [
        "[SIC] this is no array",
        "{this} neither",
    ]
    assert [row["text"] for row in read_data("text\nid\n")] == ["text", "id"]


def test_a_table_of_one_column_needs_a_table_name() -> None:
    assert read_data("text\na\nb;c\n", "f.csv") == [{"id": "2", "text": "a"}, {"id": "3", "text": "b;c"}]


def test_an_array_of_texts_is_read() -> None:
    assert read_data('["a", "b"]', "f.json") == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]


@pytest.mark.parametrize("name", ["f.json", "f.jsonl"])
def test_integers_are_kept_exactly(name: str) -> None:
    number = 12345678901234567890123
    (row,) = read_data(f'{{"id": {number}, "text": "a", "x": [-{number}, 0.5, NaN, 1e999]}}', name)
    assert row == {"id": number, "text": "a", "x": [-number, 0.5, None, "1e999"]}


def test_null_counts_as_absent() -> None:
    assert read_data('{"id": null, "text": "a"}\n{"id": 1, "text": null}') == [
        {"id": "1", "text": "a"},
        (1, "`text` is missing"),
    ]


INVALID_ROWS = {
    "an empty text": ('{"text": " \\n"}', ("`text`", "empty")),
    "an invisible text": ('{"text": "\\u200b\\u3164"}', ("`text`", "empty")),
    "a missing text": ('{"comment": "x"}', ("`text`", "missing")),
    "a misspelled key": ('{"Text": "x"}', ("`text`", "`Text`?")),
    "a number": ('{"text": 5}', ("`text`", "a number")),
    "a lone surrogate": ('{"text": "a\\ud83d"}', ("`text`", "surrogate")),
    "a number instead of an object": ("5", ("line 2: ", "a number")),
    "invalid JSON": ('{"text": "x"', ("line 2: ", "column 13")),
    "not UTF-8": (b'{"text": "\xff"}', ("line 2: ", "byte 11 ")),
    "too many digits": ('{"text": "x", "id": ' + "1" * 5000 + "}", ("line 2: ", "4300")),
    "nested too deeply": ("[" * 200_000, ("line 2: ", "nested")),
}


@pytest.mark.parametrize(("line", "parts"), INVALID_ROWS.values(), ids=INVALID_ROWS)
def test_a_row_that_cannot_be_labeled_keeps_its_position(line: str | bytes, parts: tuple[str, ...]) -> None:
    data = b'{"text": "a"}\n' + (line if isinstance(line, bytes) else line.encode()) + b'\n{"text": "b"}\n'
    first, (identity, reason), last = read_data(data)
    assert (first["text"], identity, last) == ("a", "2", {"id": "3", "text": "b"})
    assert reason.startswith(parts[0])
    assert all(part in reason for part in parts), reason


def test_a_table_row_with_an_extra_cell_keeps_its_position() -> None:
    first, (identity, reason), last = read_data("id;text\n1;a\n2;b;c\n3;d\n")
    assert (first["text"], identity, last["text"]) == ("a", "2", "d")
    assert reason.startswith("line 3: ")
    assert all(part in reason for part in ("2 cells", "3", "semicolons")), reason


@pytest.mark.parametrize(
    ("name", "data", "location", "parts"),
    [
        ("f.csv", b"id,Text\n1,a\n", "f.csv:1: ", ["'id,Text'", "`text`", "`Text`"]),
        ("f.csv", b"text,id,id\na,1,2\n", "f.csv:1: ", ["'id'"]),
        ("f.csv", "text\nZürich\n".encode("cp1252"), "f.csv:2: ", ["byte 2 ", "0xFC", "Windows-1252"]),
        ("f.csv", b'text,id\na,"b\n', "f.csv:2: ", ["CSV"]),
        ("f.json", b'[{"text": "a"},', "f.json: ", ["JSON", "column"]),
        ("f.xlsx", b"PK\x03\x04\n", "f.xlsx: ", ["workbook"]),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_an_error_with_its_location(
    name: str, data: bytes, location: str, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        read_data(data, name)
    error = str(caught.value)
    assert error.startswith(location)
    assert all(part in error for part in parts), error


@pytest.mark.skipif(not CASES_FOLDER.is_dir(), reason="shared/cases is absent")
def test_the_cases_of_classify_are_read() -> None:
    def read_case(name: str) -> list[Any]:
        return read_data((CASES_FOLDER / name).read_bytes(), name)

    assert read_case("comments.csv") == [
        {"id": "1", "text": "The lock jams, again"},
        {"id": "2", "text": "multi\nline cell"},
    ]
    assert [row["text"] for row in read_case("array.json")] == ["a", "b"]
    assert read_case("bigid.jsonl") == [{"id": 12345678901234567890123, "text": "a"}]
    rows = read_case("late.jsonl")
    assert (len(rows), rows[60]) == (70, ("o60", "`text` is empty"))


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n'))
    assert [comment.row["text"] for comment in read_unlabeled(str(path), read_lines(path))] == ["a"]


def test_lines_are_read_lazily() -> None:
    numbers = []

    def lines() -> Any:
        for number in range(100):
            numbers.append(number)
            yield b'{"text": "a"}\n'

    comments = read_unlabeled("-", lines())
    assert [next(comments).row["id"] for _ in range(3)] == ["1", "2", "3"]
    assert len(numbers) == 3
