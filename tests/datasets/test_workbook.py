"""Workbooks with merged cells, dates and hidden sheets, and workbooks that cannot be read."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from alloy.core.files import InputError
from alloy.datasets import workbook, workbook_size
from alloy.datasets.workbook import format_cell_value, read_sheet
from data_folders import prepare_folder, write_source

ROWS = [["id", "text", "topic"], [1, "It jams", "Lock"], [2, "Dear", "Price"]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("a.xlsx")


def write_workbook(
    file: Path, rows: list[list[Any]], merged: tuple[str, ...] = (), hidden: tuple[str, ...] = ()
) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Reviews"
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    for name in hidden:
        hidden_sheet = book.create_sheet(name)
        hidden_sheet.sheet_state = "hidden"
        hidden_sheet["A1"] = "secret"
    book.save(file)
    return file


def read_cells(file: Path, **options: Any) -> list[tuple[int, list[str]]]:
    return [tuple(row) for row in read_sheet(file, None, **options).rows]


def test_the_visible_sheet_is_read_and_rows_keep_their_numbers(file: Path) -> None:
    write_workbook(file, [ROWS[0], [], ROWS[1]], hidden=("Lists",))
    assert read_cells(file) == [(1, ["id", "text", "topic"]), (3, ["1", "It jams", "Lock"])]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (0.5, "0.5"),
        (1e15, "1000000000000000"),
        (True, "TRUE"),
        (None, ""),
        (float("nan"), ""),
        (datetime.date(2024, 5, 31), "2024-05-31"),
        (datetime.datetime(2024, 5, 31), "2024-05-31"),
        (datetime.datetime(2024, 5, 31, 4, 5), "2024-05-31 04:05:00"),
    ],
)
def test_numbers_and_dates_become_plain_text(value: Any, text: str) -> None:
    assert format_cell_value(value) == text


def test_dates_as_ids_are_read_from_a_real_workbook(file: Path) -> None:
    write_workbook(file, [["id", "text"], [datetime.datetime(2024, 5, 31), "a"], [12345678901, "b"]])
    assert [row[0] for _, row in read_cells(file)] == ["id", "2024-05-31", "12345678901"]


def test_a_cell_merged_over_rows_is_repeated_in_each_row(file: Path) -> None:
    rows = [*ROWS[:2], [None, None, "Price"], ROWS[2]]
    write_workbook(file, rows, merged=("A2:A3", "B2:B3"))
    assert read_cells(file)[1:3] == [(2, ["1", "It jams", "Lock"]), (3, ["1", "It jams", "Price"])]


def test_a_header_merged_over_rows_is_in_each_row_and_over_columns_only_in_the_first(file: Path) -> None:
    write_workbook(
        file,
        [["id", "text", "Labels", None], [None, None, "L1", "L2"], [1, "a", "b", "c"]],
        ("A1:A2", "B1:B2", "C1:D1"),
    )
    assert read_cells(file, header=2)[1] == (2, ["id", "text", "L1", "L2"])
    assert read_cells(file)[0] == (1, ["id", "text", "Labels", ""])


def test_a_workbook_with_two_sheets_needs_the_name_of_a_sheet(file: Path) -> None:
    write_workbook(file, ROWS, hidden=("Lists",))
    book = openpyxl.load_workbook(file)
    book.create_sheet("More")["A1"] = "x"
    book.save(file)
    with pytest.raises(InputError, match=r"^a\.xlsx: .*\b2: Reviews, More \(hidden: Lists\)"):
        read_sheet(file, None)
    assert read_sheet(file, "Lists").rows[0].cells == ["secret"]
    with pytest.raises(InputError, match=r"^a\.xlsx: .*'Other'.* Reviews, Lists, More$"):
        read_sheet(file, "Other")


def test_a_workbook_becomes_comments(file: Path) -> None:
    folder = write_source({}, {"format": "xlsx", "columns": {"id": "id", "text": "text", "levels": ["topic"]}})
    write_workbook(folder / "a.xlsx", [[], *ROWS])
    (folder / "source.yaml").write_text((folder / "source.yaml").read_text() + "header: 2\n")
    assert [(row["id"], row["segments"]) for row in prepare_folder(folder).rows] == [
        ("1", [{"L1": "Lock"}]),
        ("2", [{"L1": "Price"}]),
    ]


def test_formulas_without_a_stored_value_are_named_in_the_error(file: Path) -> None:
    folder = write_source({}, {"format": "xlsx", "columns": {"text": "text", "levels": ["topic"]}})
    write_workbook(folder / "a.xlsx", [ROWS[0], [1, '="a"&"b"', "Lock"]])
    with pytest.raises(InputError, match=r"^data/mine/a\.xlsx: .*\b1 .*text.*formulas"):
        prepare_folder(folder)


def replace_part(file: Path, name: str, content: str) -> Path:
    """Replace a part of a workbook."""
    with zipfile.ZipFile(file) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, old in parts.items():
            archive.writestr(part, content if part == name else old)
    return file


def write_xlsx(file: Path, rows: str) -> Path:
    """Write a workbook with a small first row, and then `rows` in the XML of .xlsx."""
    write_workbook(file, [])
    first = '<row r="1"><c r="A1" t="inlineStr"><is><t>text</t></is></c></row>'
    sheet = f'<worksheet xmlns="{XLSX}"><sheetData>{first}{rows}</sheetData></worksheet>'
    return replace_part(file, "xl/worksheets/sheet1.xml", sheet)


def write_ods(file: Path, rows: str) -> Path:
    """Write a workbook with a small first row, and then `rows` in the XML of .ods."""
    names = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in OPEN_DOCUMENT)
    start = f'<office:document-content {names}><office:body><office:spreadsheet><table:table table:name="S">'
    end = "</table:table></office:spreadsheet></office:body></office:document-content>"
    manifest = f'<manifest:manifest {names}><manifest:file-entry manifest:full-path="/"/></manifest:manifest>'
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr("content.xml", start + write_ods_row(ODS_VALUE) + rows + end)
    return file


def write_ods_row(cells: str, repeats: int = 1) -> str:
    return f'<table:table-row table:number-rows-repeated="{repeats}">{cells}</table:table-row>'


XLSX = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OPEN_DOCUMENT = ("office", "table", "text", "manifest")
ODS_VALUE = '<table:table-cell office:value-type="string"><text:p>text</text:p></table:table-cell>'


def make_empty_ods_cells(count: int) -> str:
    return f'<table:table-cell table:number-columns-repeated="{count}"/>'


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        ('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', "XFD1048576"),
        ('<row r="400000"><c s="1" r="ZZ400000" t="n"><v>1</v></c></row>', "ZZ400000"),
        ("<row r='1048576'><c r='a1048576'><v>1</v></c><c r='av1048576'><v>1</v></c></row>", "AV1048576"),
        ('<row><c r="ZZ400000"><v>1</v></c></row>', "ZZ400000"),
        ('<row r="2"><c r="ZZ2"><v>1</v></c></row><row r="99999"><c r="B99999"><v>1</v></c></row>', "ZZ99999"),
    ],
)
def test_a_cell_far_from_the_data_is_an_error(file: Path, rows: str, last: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.xlsx: .*\b{last}\b"):
        read_sheet(write_xlsx(file, rows), None)


@pytest.mark.parametrize("shift", range(0, 60, 3))
def test_a_far_cell_is_found_at_the_border_of_two_blocks(file: Path, shift: int) -> None:
    filler = "<!--" + "x" * (workbook_size.BLOCK - 250 + shift) + "-->"
    with pytest.raises(InputError, match=r"\bZZ400000\b"):
        read_sheet(write_xlsx(file, f'{filler}<row r="400000"><c r="ZZ400000"><v>1</v></c></row>'), None)


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="1048576" ht="12.8"/><row r="3"><c r="AZ3"><v>1</v></c></row>',
        '<row r="1048576"><c r="XFD1048576" s="1"/><c r="XFD1048576" s="1"></c></row>',
        '<row r="2"><c r="A2" t="inlineStr"><is><t>row r="1048576" r="XFD1048576"</t></is></c></row>',
    ],
)
def test_empty_cells_far_from_the_data_are_no_error(file: Path, rows: str) -> None:
    assert read_cells(write_xlsx(file, rows))[0][1][0] == "text"


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        (
            write_ods_row(make_empty_ods_cells(16384), 1048574)
            + write_ods_row(make_empty_ods_cells(16383) + ODS_VALUE),
            "XFD1048576",
        ),
        (write_ods_row(make_empty_ods_cells(99) + ODS_VALUE, 600_000), "CV600001"),
        (write_ods_row(ODS_VALUE * 99, 600_000), "CU600001"),
    ],
)
def test_a_repeated_cell_far_from_the_data_is_an_error(file: Path, rows: str, last: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.ods: .*\b{last}\b"):
        read_sheet(write_ods(file.with_suffix(".ods"), rows), None)


def test_a_row_that_does_not_fit_into_memory_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_size, "MAX_ROW", 2**16)
    with pytest.raises(InputError, match=r"^a\.ods: .*\brow\b"):
        read_sheet(write_ods(file.with_suffix(".ods"), write_ods_row(" " * 2**17)), None)


def test_repeated_empty_rows_and_cells_after_the_data_are_no_error(file: Path) -> None:
    """As LibreOffice writes them; the rows of the next sheet are counted from 1 again."""
    end = write_ods_row(ODS_VALUE + make_empty_ods_cells(16383)) + write_ods_row(make_empty_ods_cells(16384), 1048574)
    wide = write_ods_row(make_empty_ods_cells(999) + ODS_VALUE)
    rows = f'{end}</table:table><table:table table:name="T">{wide}'
    assert read_sheet(write_ods(file.with_suffix(".ods"), rows), "S").rows == [(1, ["text"]), (2, ["text"])]


def write_zip_bomb(file: Path) -> None:
    """Write a workbook of a few kilobytes whose declared unpacked size is large."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 1_000_000)


def write_wrong_size(file: Path) -> None:
    """Write a workbook that is larger than its declared size."""
    write_zip_bomb(file)
    data = file.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    file.write_bytes(data)


INVALID_WORKBOOKS = {
    "a text file": (lambda file: file.write_text("id,text\n"), "workbook"),
    "a truncated workbook": (
        lambda file: file.write_bytes(write_workbook(file, ROWS).read_bytes()[:900]),
        "complete",
    ),
    "a workbook with a password": (
        lambda file: file.write_bytes(workbook.LEGACY_WORKBOOK + b"\0" * 600 + workbook.ENCRYPTED),
        "password",
    ),
    "a damaged legacy workbook": (
        lambda file: file.write_bytes(workbook.LEGACY_WORKBOOK + b"\0" * 600),
        "complete",
    ),
    "another zip file": (write_zip_bomb, "complete"),
    "a zip file with a wrong size": (write_wrong_size, "complete"),
}


@pytest.mark.parametrize(("make", "expected"), INVALID_WORKBOOKS.values(), ids=INVALID_WORKBOOKS)
def test_an_unreadable_workbook_is_a_one_line_error_with_the_file(file: Path, make: Any, expected: str) -> None:
    make(file)
    with pytest.raises(InputError) as caught:
        read_sheet(file, None)
    assert str(caught.value).startswith("a.xlsx: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip_bomb(file)
    monkeypatch.setattr(workbook, "MAX_UNPACKED", 999_999)
    with pytest.raises(InputError, match=r"^a\.xlsx: .*\b0\.0\b"):
        read_sheet(file, None)
