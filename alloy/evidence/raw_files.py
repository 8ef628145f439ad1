"""Raw files of public data sets: which are needed, whether they are there, and where they can be had.

data/<set>/raw_files.yaml lists them: `raw: [{any: [[<pattern>, ..], ..], from: <address>}]`, where one of the lists in
`any` must be there whole.
"""

from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import InputError, Row

LIST, RAW, IGNORED = "raw_files.yaml", "raw", ".dvcignore"
HIDDEN = "[!.]*"


def folders_of(data: list[str], root: Path) -> list[Path]:
    """Return the folders of data sets that convert raw files, of the names in params.yaml's `data`, each once.

    A name may be that of a folder within a set: `cfpb/two_levels` is of `cfpb`.
    """
    sets = dict.fromkeys(Path("data", Path(name).parts[0]) for name in data)
    return [folder for folder in sets if (root / folder / RAW).is_dir()]


def missing_files(folders: list[Path], root: Path) -> str:
    """Return in one line which raw files are missing and where they are; "" if all are there."""
    said = []
    for folder in folders:
        raw = root / folder / RAW
        wanted = [
            f"{', '.join(group['any'][0])} ({group['from']})"
            for group in _groups(root / folder)
            if not _found(raw, group)
        ]
        if wanted:
            said.append(f"{folder / RAW}: {'; '.join(wanted)}")
    return " | ".join(said)


def _groups(folder: Path) -> list[Row]:
    """Return what a set needs; one that does not say it needs any file."""
    path = folder / LIST
    if not path.is_file():
        return [{"any": [["*"]], "from": f"see {folder.name}/README.md"}]
    given: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def raw_files(folder: Path) -> list[Path]:
    """Return the files below the raw folder of a set, hidden ones left out."""
    return sorted(path for path in (folder / RAW).rglob(HIDDEN) if path.is_file())
