"""The taxonomy is read from CSV of any depth; an error names its line, and suggests a similar label."""

import unicodedata
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy, format_path, load_taxonomy

TWO_LEAVES = "L1,L2,description\nSetup,Pairing,Bluetooth does not connect\nSetup,Manual,\n"


def load_text(folder: Path, text: str | bytes) -> Taxonomy:
    path = folder / "taxonomy.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_taxonomy(path)


def load_error(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        load_text(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_row_is_a_leaf_with_its_description(tmp_path: Path) -> None:
    taxonomy = load_text(tmp_path, TWO_LEAVES)
    assert taxonomy.levels == ("L1", "L2")
    assert taxonomy.leaves == {("Setup", "Pairing"): "Bluetooth does not connect", ("Setup", "Manual"): ""}


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 11])
def test_any_depth_is_read(tmp_path: Path, depth: int) -> None:
    levels = [f"L{level}" for level in range(1, depth + 1)]
    path = tuple(f"label {level}" for level in levels)
    taxonomy = load_text(tmp_path, f"{','.join(levels)},description\n{','.join(path)},words\n")
    assert taxonomy.levels == tuple(levels)
    assert taxonomy.leaves == {path: "words"}


def test_the_description_may_be_any_column_or_missing(tmp_path: Path) -> None:
    assert load_text(tmp_path, "description,L1,L2\nwords,a,b\n").leaves == {("a", "b"): "words"}
    assert load_text(tmp_path, "L1,L2\na,b\n").leaves == {("a", "b"): ""}


def test_empty_columns_and_rows_of_spreadsheets_are_ignored(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfL1, L2 ,description\r\n Setup ,"Pairing, wireless","over\ntwo lines"\r\n,,\r\n\r\n'
    assert load_text(tmp_path, text).leaves == {("Setup", "Pairing, wireless"): "over two lines"}


def test_a_taxonomy_is_read_back_from_its_rows(tmp_path: Path) -> None:
    taxonomy = load_text(tmp_path, TWO_LEAVES)
    assert taxonomy.to_rows()[0] == {"L1": "Setup", "L2": "Pairing", "description": "Bluetooth does not connect"}
    assert Taxonomy.from_rows(taxonomy.to_rows()) == taxonomy


def test_the_labels_of_a_path_are_joined() -> None:
    assert format_path(("Setup", "Pairing", "Bluetooth")) == "Setup > Pairing > Bluetooth"


INVALID_FILES = {  # a file, the location in the error, and values in the error
    "an empty file": (b"", ":1:", ["''", "L1,L2,L3,description"]),
    "only a header": (b"L1,description\n", ":", ["no rows"]),
    "other names": (b"Theme,Topic\na,b\n", ":1:", ["'Theme,Topic'", "L1,L2,L3,description"]),
    "a missing level": (b"L1,L3\na,b\n", ":1:", ["L1,L3"]),
    "levels in another order": (b"L2,L1\na,b\n", ":1:", ["L2,L1"]),
    "a duplicate level": (b"L1,L1\na,b\n", ":1:", ["duplicate", "'L1'"]),
    "a header without levels": (b"description\na\n", ":1:", ["'description'"]),
    "JSON": (b'{"L1": "a"}\n', ":1:", ["L1,L2,L3,description"]),
    "another column": (b"L1,L2,notes\na,b,c\n", ":1:", ["'notes'"]),
    "a comma without quotes": (
        b"L1,L2,description\na,b,c\na,d,words, more words\n",
        ":3:",
        ["3", "4", "quote", "commas"],
    ),
    "a missing cell": (b"L1,L2,description\na,b\n", ":2:", ["3", "2"]),
    "an empty label": (b"L1,L2,description\na,b,c\na, ,words\n", ":3:", ["L2", "(none)"]),
    "a duplicate path": (b"L1,L2,description\na,b,c\na,d,c\n a ,b,other words\n", ":4:", ["'a > b'", "line 2"]),
    "an unclosed quote": (b'L1,L2\na,"b\nc,d\n', ":3:", ["quote"]),
    "text after a quote": (b'L1,L2\na,"b" c\n', ":2:", ["CSV"]),
    "Latin-1": (b"L1,description\na,words\ncaf\xe9,words\n", ":3:", ["byte 4", "0xE9"]),
    "a workbook": (b"PK\x03\x04\x14", ":", ["workbook"]),
    "truncated UTF-16": ("L1\na\n".encode("utf-16")[:-1], ":", ["UTF-16"]),
    "an extra cell with semicolons": (b"L1;L2\na;b;c\n", ":2:", ["2", "3", "quote", "semicolons"]),
    "a line break in a label": (b'L1,L2\na,b\na,"c\nd"\n', ":3:", ["L2", "line break"]),
    "another line break": ("L1,L2\na,c\u2028d\n".encode(), ":2:", ["L2", "line break"]),
    "an invisible label": ("L1,L2\na,\u200b\n".encode(), ":2:", ["L2", "empty"]),
    "one path with an accent in two encodings": (
        "L1,L2\nCaf\u00e9,a\nBar,a\nCafe\u0301,a\n".encode(),
        ":4:",
        ["'Caf\u00e9 > a'", "line 2", "accents"],
    ),
    "one path with a soft hyphen": ("L1\nab\na\u00adb\n".encode(), ":3:", ["'ab'", "line 2", "invisible"]),
}


EXCEL_TABLE = 'L1;L2;description\r\nZustellung;Zu sp\u00e4t;"Tage; Wochen"\r\n'
VALID_FILES = {
    "semicolons": EXCEL_TABLE.encode(),
    "semicolons with a byte order mark": EXCEL_TABLE.encode("utf-8-sig"),
    "semicolons with a sep line": b"sep=;\r\n" + EXCEL_TABLE.encode(),
    "UTF-16 with tabs, the Unicode text format of Excel": EXCEL_TABLE.replace('"', "")
    .replace("; ", ": ")
    .replace(";", "\t")
    .encode("utf-16"),
    "UTF-16 without a byte order mark": EXCEL_TABLE.encode("utf-16-le"),
    "big-endian UTF-16": "\ufeff".encode("utf-16-be") + EXCEL_TABLE.encode("utf-16-be"),
    "vertical bars": EXCEL_TABLE.replace('"', "").replace("; ", ": ").replace(";", "|").encode(),
    "decomposed accents": unicodedata.normalize("NFD", EXCEL_TABLE).encode(),
    "other space characters": EXCEL_TABLE.replace("Zu sp", "\u00a0Zu \u3000sp").encode(),
    "an invisible letter": EXCEL_TABLE.replace("Zu", "\u200bZ\u00adu\u2060").encode(),
}


@pytest.mark.parametrize("text", VALID_FILES.values(), ids=VALID_FILES)
def test_files_of_spreadsheet_programs_are_read(tmp_path: Path, text: bytes) -> None:
    taxonomy = load_text(tmp_path, text)
    assert list(taxonomy.leaves) == [("Zustellung", "Zu sp\u00e4t")]
    assert next(iter(taxonomy.leaves.values())).endswith("Wochen")


def test_windows_1252_is_named_in_the_error(tmp_path: Path) -> None:
    error = load_error(tmp_path, EXCEL_TABLE.encode("cp1252"))
    assert error.startswith("taxonomy.csv:2: byte 17 ")
    assert all(part in error for part in ("0xE4", "Windows-1252")), error


def load_warnings(folder: Path, text: str) -> list[str]:
    path, warnings = folder / "taxonomy.csv", list[str]()
    path.write_text(text, encoding="utf-8")
    load_taxonomy(path, warnings.append)
    return [warning.removeprefix(f"{folder}/") for warning in warnings]


def test_labels_that_differ_only_in_case_give_one_warning_with_both_lines(tmp_path: Path) -> None:
    text = "L1,L2\nBar,Noise\nbar,Wait\nbar,noise\nPub,IT\nPub,it\n"
    first, second = load_warnings(tmp_path, text)
    assert first.startswith("taxonomy.csv:3: ")
    assert all(part in first for part in ("'bar'", "'Bar'", "line 2")), first
    assert second.startswith("taxonomy.csv:6: ")
    assert all(part in second for part in ("'Pub > it'", "'Pub > IT'", "line 5")), second
    assert len(load_text(tmp_path, text).leaves) == 5


def test_a_label_in_two_encodings_is_one_label_with_a_warning(tmp_path: Path) -> None:
    (line,) = load_warnings(tmp_path, "L1,L2\nCaf\u00e9,a\nCafe\u0301,b\n")
    assert line.startswith("taxonomy.csv:3: ")
    assert all(part in line for part in ("'Cafe\\u0301'", "'Caf\\xe9'", "line 2")), line


def test_a_spelling_is_reported_once(tmp_path: Path) -> None:
    text = "L1,L2\nCaf\u00e9,a\nCafe\u0301,b\nCafe\u0301,c\nCaf\u00e9,d\nCaf\u00e9\u180e,e\n"
    places = [line.partition(": ")[0] for line in load_warnings(tmp_path, text)]
    assert places == ["taxonomy.csv:3", "taxonomy.csv:6"]


def test_a_valid_taxonomy_gives_no_warning(tmp_path: Path) -> None:
    assert load_warnings(tmp_path, TWO_LEAVES) == []


def read_path_error(folder: Path, path: tuple[str, ...]) -> str:
    with pytest.raises(ValueError) as caught:
        load_text(folder, TWO_LEAVES).check_path(path)
    return str(caught.value)


def test_letters_of_two_alphabets_are_named_in_the_error(tmp_path: Path) -> None:
    error = read_path_error(tmp_path, ("Setup", "M\u0430nual"))
    assert "'Setup > Manual'?" in error
    assert "U+0430 CYRILLIC SMALL LETTER A" in error


@pytest.mark.parametrize(("text", "location", "parts"), INVALID_FILES.values(), ids=INVALID_FILES)
def test_an_error_is_one_line_with_location_and_values(
    tmp_path: Path, text: bytes, location: str, parts: list[str]
) -> None:
    error = load_error(tmp_path, text)
    assert error.startswith(f"taxonomy.csv{location} ")
    assert all(part in error for part in parts), error


def test_a_missing_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_taxonomy(tmp_path / "taxonomy.csv")
    assert str(caught.value).startswith(f"{tmp_path / 'taxonomy.csv'}: ")
    assert "L1,L2,...,description" in str(caught.value)


def test_a_byte_that_is_not_utf_8_is_counted_in_its_line(tmp_path: Path) -> None:
    error = load_error(tmp_path, b"L1,description\ncaf\xe9,words\n")
    assert error.startswith("taxonomy.csv:2: byte 4 ")


def test_the_error_of_a_missing_cell_does_not_name_quotes(tmp_path: Path) -> None:
    assert "quote" not in load_error(tmp_path, b"L1,L2,description\na,b\n")


@pytest.mark.parametrize("path", [("Setup", "Pairing"), ("Setup", "Manual")])
def test_a_leaf_is_accepted(tmp_path: Path, path: tuple[str, ...]) -> None:
    load_text(tmp_path, TWO_LEAVES).check_path(path)


@pytest.mark.parametrize("path", [("Setup", "Pairng"), ("setup", "pairing"), ("Set up", "Pairing")])
def test_the_error_of_a_misspelled_label_suggests_the_nearest_label(tmp_path: Path, path: tuple[str, ...]) -> None:
    error = read_path_error(tmp_path, path)
    assert f"'{format_path(path)}'" in error
    assert "'Setup > Pairing'?" in error


def test_no_label_is_suggested_if_none_is_similar(tmp_path: Path) -> None:
    error = read_path_error(tmp_path, ("Price", "Refund"))
    assert "'Price > Refund'" in error
    assert "?" not in error


@pytest.mark.parametrize("path", [("Setup",), ("Setup", "Pairing", "Bluetooth"), ()])
def test_a_path_of_another_depth_is_not_a_leaf(tmp_path: Path, path: tuple[str, ...]) -> None:
    assert f"'{format_path(path)}'" in read_path_error(tmp_path, path)


def test_a_folder_in_place_of_the_taxonomy_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_taxonomy(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "folder" in str(caught.value)
