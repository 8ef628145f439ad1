"""Workbooks with merged cells, dates and hidden sheets, and workbooks that cannot be read."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from alloy.core.files import InputError
from alloy.datasets import workbook
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
