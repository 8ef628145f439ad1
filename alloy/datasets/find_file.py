"""Find the files of a data folder, by the name in source.yaml or by their endings."""

from pathlib import Path

from alloy.core.files import InputError
from alloy.datasets.source import SOURCE, Source

NOT_DATA = {SOURCE, "README.md", "raw_files.yaml", "taxonomy.csv", "taxonomy.xlsx"}
CANONICAL = {"comments.jsonl", "general.jsonl", "ifeval.jsonl", "prompts.jsonl"}  # each for one kind of data
SHOWN = 10


def find_data(folder: Path, source: Source, endings: tuple[str, ...], canonical: str = "") -> list[Path]:
    """Return the files of a source: the first of the following that exist.

    1. The file that `file` in source.yaml names, or the files below the folder that it names.
    2. The file with the `canonical` name.
    3. The files below the folder `raw`.
    4. The only file in the data folder that has one of the `endings` and no canonical name of another kind of data.

    Only files with one of the `endings` count in 1 (for folders), 3 and 4.
    """
    if source.file is not None:
        chosen = resolve_inside(folder, source.file)
        if chosen.is_file():
            return [chosen]
        if chosen.is_dir():
            return _list_matching(chosen, endings) or _raise_missing(chosen, endings)
        raise InputError(f"{folder / SOURCE}: file: no {source.file} in {folder}; use one of {list_names(folder)}")
    if canonical and (folder / canonical).is_file():
        return [folder / canonical]
    if (folder / "raw").is_dir():
        return _list_matching(folder / "raw", endings) or _raise_missing(folder / "raw", endings)
    others = CANONICAL if canonical else set()
    found = [path for path in _list_matching(folder, endings) if path.parent == folder and path.name not in others]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder / SOURCE}: file: several files match; set `file` to one of {names}")
    return found or _raise_missing(folder, endings)


def resolve_inside(folder: Path, name: str) -> Path:
    """Return the path of a file in the data folder. Raises `InputError` if the path leads out of it."""
    path = folder / name
    try:
        resolved = path.resolve()
    except (RuntimeError, OSError) as error:  # before Python 3.13 a loop of links is a RuntimeError
        raise InputError(f"{path}: cannot be opened ({error}); replace the link with the file") from None
    if not resolved.is_relative_to(folder.resolve()):
        raise InputError(
            f"{folder / SOURCE}: file: {name} is outside {folder}, where DVC does not track it; copy it into the folder"
        )
    return path


def _list_matching(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file() and path.name not in NOT_DATA)
    return [path for path in files if path.name.lower().endswith(endings)]


def _raise_missing(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    raise InputError(
        f"{folder}: expected a file that ends with {', '.join(endings)}, got {list_names(folder)}; add one"
    )


def list_names(folder: Path) -> str:
    """Return the names in a folder, for error messages."""
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.glob("[!.]*"))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "no files"
