"""Raw files of public data sets: which are needed, whether they are there, and where they can be had.

data/<set>/raw_files.yaml lists them: `raw: [{any: [[<pattern>, ..], ..], from: <address>}]`, where one of the lists in
`any` must be there whole. Or it says `same_as: <set>`: the files are those of another set, which converts them
otherwise.
"""

from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.core.yaml_text import read_yaml

LIST, RAW = "raw_files.yaml", "raw"
HIDDEN_BY = ".dvcignore"  # in older commits, data sets had pipelines of their own, which this file hid
HIDDEN = "[!.]*"


def folders_of(data: list[str], root: Path) -> list[Path]:
    """Return the folders of data sets that convert raw files, of the names in params.yaml's `data`, each once."""
    sets = dict.fromkeys(Path("data", name) for name in data)
    return [folder for folder in sets if (root / folder / RAW).is_dir()]


def raw_folder(folder: Path) -> Path:
    """Return the folder in which users put the raw files of a set: its own, or that of the set with the same files."""
    given = _read(folder)
    other = given.get("same_as")
    return (folder.with_name(str(other)) if other else folder) / RAW


def missing_files(folders: list[Path], root: Path) -> str:
    """Return in one line which raw files are missing and where they are; "" if all are there."""
    said = []
    for raw in dict.fromkeys(raw_folder(root / folder) for folder in folders):
        wanted = [
            f"{', '.join(group['any'][0])} ({group['from']})" for group in _groups(raw.parent) if not _found(raw, group)
        ]
        if wanted:
            said.append(f"{raw.relative_to(root)}: {'; '.join(wanted)}")
    return " | ".join(said)


def _read(folder: Path) -> Row:
    """Return what raw_files.yaml says; empty where there is none."""
    path = folder / LIST
    given: Any = read_yaml(path) if path.is_file() else {}
    if not isinstance(given, dict):
        raise InputError(f"{path}: expected `raw:` or `same_as:`")
    return given


def _groups(folder: Path) -> list[Row]:
    """Return what a set needs; one that does not say it needs any file."""
    path = folder / LIST
    if not path.is_file():
        return [{"any": [["*"]], "from": f"see {folder.name}/README.md"}]
    given = _read(folder)
    try:
        groups = [
            {"any": [list(map(str, files)) for files in one["any"]], "from": str(one["from"])} for one in given["raw"]
        ]
    except (KeyError, TypeError):
        raise InputError(f"{path}: expected `raw:` with a list of {{any: [[file, ..], ..], from: address}}") from None
    return groups


def _found(raw: Path, group: Row) -> bool:
    return any(all(_matches(raw, pattern) for pattern in files) for files in group["any"])


def _matches(raw: Path, pattern: str) -> list[Path]:
    found = raw.rglob(pattern) if "/" not in pattern else [*raw.glob(pattern), *raw.glob(f"**/{pattern}")]
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def raw_files(raw: Path) -> list[Path]:
    """Return the files below a raw folder, hidden ones left out."""
    return sorted(path for path in raw.rglob(HIDDEN) if path.is_file())
