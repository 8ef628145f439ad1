"""The taxonomy is read from CSV of any depth; a fault in it has its line, and a misspelt label its neighbour."""

from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy, load_taxonomy, show

TWO = "L1,L2,description\nSetup,Pairing,Bluetooth does not connect\nSetup,Manual,\n"


def load(folder: Path, text: str | bytes) -> Taxonomy:
    path = folder / "taxonomy.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_taxonomy(path)


def fault(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_row_is_a_leaf_with_its_description(tmp_path: Path) -> None:
    taxonomy = load(tmp_path, TWO)
    assert taxonomy.levels == ("L1", "L2")
    assert taxonomy.leaves == {("Setup", "Pairing"): "Bluetooth does not connect", ("Setup", "Manual"): ""}


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 11])
def test_any_depth_is_read(tmp_path: Path, depth: int) -> None:
    levels = [f"L{level}" for level in range(1, depth + 1)]
    path = tuple(f"label {level}" for level in levels)
    taxonomy = load(tmp_path, f"{','.join(levels)},description\n{','.join(path)},words\n")
    assert taxonomy.levels == tuple(levels)
    assert taxonomy.leaves == {path: "words"}


def test_the_description_may_stand_anywhere_or_be_left_out(tmp_path: Path) -> None:
    assert load(tmp_path, "description,L1,L2\nwords,a,b\n").leaves == {("a", "b"): "words"}
    assert load(tmp_path, "L1,L2\na,b\n").leaves == {("a", "b"): ""}


def test_what_spreadsheets_leave_behind_does_not_matter(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfL1, L2 ,description\r\n Setup ,"Pairing, wireless","over\ntwo lines"\r\n,,\r\n\r\n'
    assert load(tmp_path, text).leaves == {("Setup", "Pairing, wireless"): "over\ntwo lines"}


def test_rows_undo_a_taxonomy(tmp_path: Path) -> None:
    taxonomy = load(tmp_path, TWO)
    assert taxonomy.to_rows()[0] == {"L1": "Setup", "L2": "Pairing", "description": "Bluetooth does not connect"}
    assert Taxonomy.from_rows(taxonomy.to_rows()) == taxonomy


def test_a_path_is_shown_as_people_read_it() -> None:
    assert show(("Setup", "Pairing", "Bluetooth")) == "Setup > Pairing > Bluetooth"


FAULTS = {
    "nothing at all": (b"", "taxonomy.csv:1: columns are ''; name them L1,L2,..,description"),
    "a header alone": (b"L1,description\n", "taxonomy.csv: the taxonomy has no rows; write one leaf a line"),
    "other names": (b"Theme,Topic\na,b\n", "taxonomy.csv:1: columns are 'Theme,Topic'; name them L1,L2,..,description"),
    "a level left out": (b"L1,L3\na,b\n", "taxonomy.csv:1: columns are 'L1,L3'"),
    "levels in another order": (b"L2,L1\na,b\n", "taxonomy.csv:1: columns are 'L2,L1'"),
    "a level twice": (b"L1,L1\na,b\n", "taxonomy.csv:1: columns are 'L1,L1'"),
    "no level": (b"description\na\n", "taxonomy.csv:1: columns are 'description'"),
    "semicolons": (b"L1;L2;description\na;b;c\n", "taxonomy.csv:1: columns are 'L1;L2;description'"),
    "JSON": (b'{"L1": "a"}\n', "taxonomy.csv:1: columns are "),
    "a comma without quotes": (
        b"L1,L2,description\na,b,c\na,d,words, more words\n",
        "taxonomy.csv:3: 4 cells under 3 columns; quote cells that hold commas",
    ),
    "a missing cell": (b"L1,L2,description\na,b\n", "taxonomy.csv:2: 2 cells under 3 columns"),
    "an empty label": (
        b"L1,L2,description\na,b,c\na, ,words\n",
        "taxonomy.csv:3: L2 is empty; write (none) where a level does not apply",
    ),
    "a path twice": (
        b"L1,L2,description\na,b,c\na,d,c\n a ,b,other words\n",
        "taxonomy.csv:4: path 'a > b' stands already in line 2; drop one",
    ),
    "an open quote": (b'L1,L2\na,"b\nc,d\n', "taxonomy.csv:3: not valid CSV (unexpected end of data); quote"),
    "words after a quote": (b'L1,L2\na,"b" c\n', "taxonomy.csv:2: not valid CSV"),
    "Latin-1": (b"L1,description\na,words\ncaf\xe9,words\n", "taxonomy.csv:3: byte "),
    "UTF-16": ("L1,description\na,words\n".encode("utf-16"), "taxonomy.csv:1: byte 1 is not UTF-8; save the file"),
}


@pytest.mark.parametrize(("text", "wanted"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, text: bytes, wanted: str) -> None:
    assert fault(tmp_path, text).startswith(wanted)


def test_a_missing_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"taxonomy\.csv: no such file; write a CSV with columns L1,L2,..,description"):
        load_taxonomy(tmp_path / "taxonomy.csv")


def test_a_byte_that_is_not_utf_8_is_counted_in_its_line(tmp_path: Path) -> None:
    assert "taxonomy.csv:2: byte 4 is not UTF-8" in fault(tmp_path, b"L1,description\ncaf\xe9,words\n")


def test_a_missing_cell_has_its_own_mend(tmp_path: Path) -> None:
    assert "quote" not in fault(tmp_path, b"L1,L2,description\na,b\n")


@pytest.mark.parametrize("path", [("Setup", "Pairing"), ("Setup", "Manual")])
def test_a_leaf_passes(tmp_path: Path, path: tuple[str, ...]) -> None:
    load(tmp_path, TWO).check(path)


@pytest.mark.parametrize("path", [("Setup", "Pairng"), ("setup", "pairing"), ("Set up", "Pairing")])
def test_a_misspelt_label_is_answered_with_the_nearest(tmp_path: Path, path: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^label '.*' is not in the taxonomy \(did you mean 'Setup > Pairing'\?\)$"):
        load(tmp_path, TWO).check(path)


def test_a_label_like_no_other_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^label 'Price > Refund' is not in the taxonomy; add it there or correct"):
        load(tmp_path, TWO).check(("Price", "Refund"))


@pytest.mark.parametrize("path", [("Setup",), ("Setup", "Pairing", "Bluetooth"), ()])
def test_a_path_of_another_depth_is_no_leaf(tmp_path: Path, path: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is not in the taxonomy"):
        load(tmp_path, TWO).check(path)


def test_a_folder_for_the_taxonomy_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Is a directory; write a CSV file with columns"):
        load_taxonomy(tmp_path)
