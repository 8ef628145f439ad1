"""Folders form layers that import only from lower ones; tests have the folders and names of the code."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent.name for path in (ROOT / "alloy").glob("*/__init__.py"))
OTHER_FOLDERS = {
    "data",
    "pipeline",
    "stages",
    "helpers",
    "golden",
    "configs",
}  # test folders without a folder in alloy/


def read_layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["type"] == "layers")


def test_no_folder_imports_from_a_higher_layer() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_folder_is_in_a_layer_and_in_the_readme() -> None:
    assert sorted(name.strip() for layer in read_layers() for name in layer.split("|")) == FOLDERS
    readme = (ROOT / "README.md").read_text()
    rows = [
        line.split("`")[1] for line in readme.splitlines() if line.startswith("| `") and line.split("`")[1] in FOLDERS
    ]
    assert sorted(rows) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_init_file_has_only_a_docstring_about_its_folder(folder: str) -> None:
    tree = ast.parse((ROOT / "alloy" / folder / "__init__.py").read_text())
    assert len(tree.body) == 1
    assert len((ast.get_docstring(tree) or "").splitlines()) in range(3, 6)


def test_the_folder_stages_has_only_stages() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"} == {
        line.split("stages.")[1].split()[0]
        for line in (ROOT / "dvc.yaml").read_text().splitlines()
        if "python -m stages." in line
    }


def test_test_files_have_the_folders_and_names_of_the_files_they_test() -> None:
    known = {path.relative_to(ROOT / "alloy").with_suffix("") for path in (ROOT / "alloy").rglob("*.py")}
    named = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    unmatched = {
        str(path)
        for path in named
        if path.parts[0] not in OTHER_FOLDERS
        and path.with_suffix("").with_name(path.stem.removeprefix("test_")) not in known
    }
    assert unmatched == {
        "core/test_dvc_damage.py",
        "core/test_recorded.py",
        "formats/test_names.py",
        "modeling/test_control_tokens.py",
        "runtime/test_work_folder.py",
        "training/test_families.py",
        "training/test_topology.py",
    }  # each tests several files together
