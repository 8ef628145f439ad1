"""Raw files of public data sets: which files are needed, whether they exist, and where to download them.

data/<set>/raw_files.yaml has either of these:

- `raw: [{any: [[<pattern>, ...], ...], from: <address>}]`: all files of one of the lists in `any` must exist.
- `same_as: <set>`: the raw files are those of another data set, converted in another way.
"""

from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.core.yaml_text import read_yaml

RAW_FILES_LIST, RAW = "raw_files.yaml", "raw"
OLD_IGNORE_FILE = ".dvcignore"  # in older commits, data sets had their own pipelines, and this file hid them from DVC
VISIBLE_FILES = "[!.]*"


def list_raw_data_sets(data: list[str], root: Path) -> list[Path]:
    """Return the folders of the data sets that have raw files, without duplicates; `data` has names below data/."""
    sets = dict.fromkeys(Path("data", name) for name in data)
    return [folder for folder in sets if (root / folder / RAW).is_dir()]


def find_raw_folder(folder: Path) -> Path:
    """Return the folder of a data set's raw files: its own folder, or the folder of the set in `same_as`."""
    entries = _read_list_file(folder)
    other = entries.get("same_as")
    return (folder.with_name(str(other)) if other else folder) / RAW


def describe_missing_files(folders: list[Path], root: Path) -> str:
    """Return one line with all missing raw files and where to download them; "" if none is missing."""
    lines = []
    for raw in dict.fromkeys(find_raw_folder(root / folder) for folder in folders):
        missing = [
            f"{', '.join(group['any'][0])} ({group['from']})"
            for group in _read_groups(raw.parent)
            if not _has_group(raw, group)
        ]
        if missing:
            lines.append(f"{raw.relative_to(root)}: {'; '.join(missing)}")
    return " | ".join(lines)


def _read_list_file(folder: Path) -> Row:
    """Return the contents of raw_files.yaml; empty if there is no such file."""
    path = folder / RAW_FILES_LIST
    entries: Any = read_yaml(path) if path.is_file() else {}
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected `raw:` or `same_as:`")
    return entries


def _read_groups(folder: Path) -> list[Row]:
    """Return the groups of raw files that a data set needs; without raw_files.yaml, it needs at least one file."""
    path = folder / RAW_FILES_LIST
    if not path.is_file():
        return [{"any": [["*"]], "from": f"see {folder.name}/README.md"}]
    entries = _read_list_file(folder)
    try:
        groups = [
            {"any": [list(map(str, files)) for files in group["any"]], "from": str(group["from"])}
            for group in entries["raw"]
        ]
    except (KeyError, TypeError):
        raise InputError(f"{path}: expected `raw:` with a list of {{any: [[file, ...], ...], from: address}}") from None
    return groups


def _has_group(raw: Path, group: Row) -> bool:
    return any(all(_list_matches(raw, pattern) for pattern in files) for files in group["any"])


def _list_matches(raw: Path, pattern: str) -> list[Path]:
    paths = raw.rglob(pattern) if "/" not in pattern else [*raw.glob(pattern), *raw.glob(f"**/{pattern}")]
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]


def list_raw_files(raw: Path) -> list[Path]:
    """Return the files below a raw folder, without hidden files."""
    return sorted(path for path in raw.rglob(VISIBLE_FILES) if path.is_file())
