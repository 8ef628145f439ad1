"""Missing raw files are named with the address where they can be downloaded."""

from pathlib import Path

import pytest
import yaml

from alloy.core.files import InputError
from alloy.evidence.raw_files import describe_missing_files, find_raw_folder, list_raw_data_sets, list_raw_files

ROOT = Path(__file__).parents[2]
GROUPS = [
    {"any": [["a/train.json", "b.xml"], ["all.jsonl*"]], "from": "https://example.org/one"},
    {"any": [["c.csv"]], "from": "https://example.org/two"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data/set/raw").mkdir(parents=True)
    (tmp_path / "data/set/raw/.gitkeep").touch()
    (tmp_path / "data/set/raw_files.yaml").write_text(yaml.safe_dump({"raw": GROUPS}))
    (tmp_path / "data/plain/raw").mkdir(parents=True)
    (tmp_path / "data/made").mkdir()
    return tmp_path


def write_raw_files(root: Path, *names: str) -> None:
    for name in names:
        path = root / "data/set/raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find_missing(root: Path) -> str:
    return describe_missing_files([Path("data/set")], root)


def test_only_data_sets_with_a_raw_folder_need_raw_files(root: Path) -> None:
    assert list_raw_data_sets(["made", "set", "plain", "set"], root) == [Path("data/set"), Path("data/plain")]


def test_all_missing_files_are_named_in_a_one_line_error(root: Path) -> None:
    missing = describe_missing_files([Path("data/set"), Path("data/plain")], root)
    assert missing == (
        "data/set/raw: a/train.json, b.xml (https://example.org/one); c.csv (https://example.org/two) | "
        "data/plain/raw: * (see plain/README.md)"
    )


@pytest.mark.parametrize("names", [("a/train.json", "b.xml"), ("deep/a/train.json", "deep/b.xml"), ("all.jsonl.gz",)])
def test_one_complete_list_is_enough(root: Path, names: tuple[str, ...]) -> None:
    write_raw_files(root, *names)
    assert find_missing(root) == "data/set/raw: c.csv (https://example.org/two)"
    write_raw_files(root, "c.csv")
    assert find_missing(root) == ""
    assert len(list_raw_files(root / "data/set/raw")) == len(names) + 1


def test_an_incomplete_list_is_not_enough(root: Path) -> None:
    write_raw_files(root, "b.xml", "other/train.json", "c.csv")
    assert "a/train.json, b.xml" in find_missing(root)


def test_an_invalid_raw_files_yaml_is_named_in_the_error(root: Path) -> None:
    (root / "data/set/raw_files.yaml").write_text("raw: [{any: 3}]\n")
    with pytest.raises(InputError, match=r"data/set/raw_files\.yaml: expected"):
        find_missing(root)


def test_shared_raw_files_are_named_once(root: Path) -> None:
    (root / "data/short/raw").mkdir(parents=True)
    (root / "data/short/raw_files.yaml").write_text("same_as: set\n")
    assert list_raw_data_sets(["short"], root) == [Path("data/short")]
    assert find_raw_folder(root / "data/short") == root / "data/set/raw"
    missing = find_missing(root)
    assert missing.startswith("data/set/raw: ")
    assert describe_missing_files([Path("data/short"), Path("data/set")], root) == missing


def test_the_projects_data_sets_list_their_raw_files() -> None:
    for path in ROOT.glob("data/*/raw_files.yaml"):
        declared = yaml.safe_load(path.read_text())
        assert "raw" in declared or (ROOT / "data" / declared["same_as"] / "raw_files.yaml").is_file()
        for group in declared.get("raw", []):
            assert group["any"] and all(group["any"]) and group["from"].startswith("https://")
