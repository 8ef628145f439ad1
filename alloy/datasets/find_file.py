"""Files of a data folder, found by the name that source.yaml gives or by their endings."""

from pathlib import Path

from alloy.core.files import InputError
from alloy.datasets.source import SOURCE, Source

NEVER = {SOURCE, "README.md", "raw_files.yaml", "taxonomy.csv", "taxonomy.xlsx"}
CANONICAL = {"comments.jsonl", "general.jsonl", "ifeval.jsonl", "prompts.jsonl"}  # of one kind of data each
SHOWN = 10


def find_data(folder: Path, source: Source, endings: tuple[str, ...], canonical: str = "") -> list[Path]:
    """Return the files that a source consists of: the one that `file` names, or those with the right ending below it.

    Without `file`, that is the file with the `canonical` name; else these are the files below the folder `raw`, or the
    only one in the data folder that fits and has not the canonical name of another kind of data.
    """
    if source.file is not None:
        named = inside(folder, source.file)
        if named.is_file():
            return [named]
        if named.is_dir():
            return _fitting(named, endings) or _refuse(named, endings)
        raise InputError(f"{folder / SOURCE}: file: no {source.file} in {folder}; there are {listed(folder)}")
    if canonical and (folder / canonical).is_file():
        return [folder / canonical]
    if (folder / "raw").is_dir():
        return _fitting(folder / "raw", endings) or _refuse(folder / "raw", endings)
    others = CANONICAL if canonical else set()
    found = [path for path in _fitting(folder, endings) if path.parent == folder and path.name not in others]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder / SOURCE}: file: missing; several files fit: {names}; name one")
    return found or _refuse(folder, endings)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file in the data folder; one that leads out of it raises."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{folder / SOURCE}: file: {name} is outside {folder}, where DVC does not see it change; copy it in"
        )
    return path


def _fitting(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file() and path.name not in NEVER)
    return [path for path in files if path.name.lower().endswith(endings)]


def _refuse(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    raise InputError(f"{folder}: no file that ends in {', '.join(endings)}; there are {listed(folder)}")


def listed(folder: Path) -> str:
    """Return the names in a folder, for messages."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.glob("[!.]*"))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "no files"
