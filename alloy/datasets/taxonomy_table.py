"""The taxonomy of a data set: the table that lies beside the comments, or the labels that they have."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from alloy.core.files import InputError
from alloy.core.tables import csv_text
from alloy.core.text import normalize_text
from alloy.datasets.find_file import inside, listed
from alloy.datasets.label_cells import NONE, label_paths, split_labels
from alloy.datasets.open_table import find_column, open_table
from alloy.datasets.source import SOURCE, Source
from alloy.formats.taxonomy import LabelPath, Taxonomy, load_taxonomy

LEVEL = re.compile(r"L[1-9][0-9]*")
NAMES = ("taxonomy.csv", "taxonomy.xlsx")
OUT = "taxonomy.csv"


def find_taxonomy(folder: Path, source: Source) -> Path | None:
    """Return the table that source.yaml names, or the one with the usual name, or None."""
    if source.taxonomy is not None:
        path = inside(folder, source.taxonomy)
        if not path.is_file():
            raise InputError(
                f"{folder / SOURCE}: taxonomy: no {source.taxonomy} in {folder}; there are {listed(folder)}"
            )
        return path
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def copy_taxonomy(path: Path, source: Source, out: Path) -> Taxonomy:
    """Write the taxonomy of a table as the canonical taxonomy.csv and return it.

    Columns are called L1, L2, .. or as those of the comments' levels; a level that is empty does not apply. A file that
    is canonical is copied as it is.
    """
    table = open_table(path, Source(format=source.format), lambda names: bool(_level_columns(names, source)))
    columns = _level_columns(table.header, source)
    if not columns:
        wanted = ",".join(source.columns.levels) or "L1,L2,.."
        raise InputError(f"{path}:1: columns are '{','.join(table.header)}'; name them {wanted},description")
    described = next((at for at, name in enumerate(table.header) if name.casefold() == "description"), None)
    rows = list(table.rows)
    single = source.path_separator is not None and columns == source.columns.levels
    depth = len(columns) if not single else _deepest([cells[0] for _, cells in rows], source.path_separator or "")
    at = [find_column(path, table.header, name, "levels") for name in columns]
    whole = all(cells[column].strip() for _, cells in rows for column in at)
    if (
        whole
        and path.suffix == ".csv"
        and columns == [name for name in table.header if name != "description"] == _names(depth)
    ):
        shutil.copyfile(path, out / OUT)
        return load_taxonomy(path)  # whose errors name the file of the user
    read = source if single else Source(format=source.format)
    leaves: dict[LabelPath, str] = {}
    for line, cells in rows:
        try:
            found = label_paths([split_labels(cells[column], None) for column in at], read, depth)
        except ValueError as error:
            raise InputError(f"{path}:{line}: {error}") from None
        for leaf in found:
            if leaf in leaves:
                raise InputError(f"{path}:{line}: duplicate path '{' > '.join(leaf)}'; drop one")
            leaves[leaf] = normalize_text(cells[described]) if described is not None else ""
    write_taxonomy(out / OUT, leaves, depth)
    return load_taxonomy(out / OUT)


def _names(depth: int) -> list[str]:
    return [f"L{level}" for level in range(1, depth + 1)]


def _level_columns(header: list[str], source: Source) -> list[str]:
    """Return the columns of the levels in their order; none if the header is not that of a taxonomy."""
    numbered = [name for name in header if LEVEL.fullmatch(name)]
    if numbered and sorted(numbered) == sorted(_names(len(numbered))):
        return _names(len(numbered))
    given = {normalize_text(name) for name in header}
    own = source.columns.levels
    return own if own and all(normalize_text(name) in given for name in own) else []


def _deepest(cells: Iterable[str], separator: str) -> int:
    return max((cell.count(separator) + 1 for cell in cells), default=1)


def write_taxonomy(path: Path, leaves: dict[LabelPath, str] | Iterable[LabelPath], depth: int) -> None:
    """Write the canonical taxonomy: one leaf per row, with its description if there is one."""
    described = leaves if isinstance(leaves, dict) else dict.fromkeys(leaves, "")
    text = csv_text([*_names(depth), "description"], ([*leaf, about] for leaf, about in described.items()))
    path.write_text(text, encoding="utf-8", newline="")


def from_labels(path: Path, leaves: set[LabelPath], depth: int) -> str:
    """Write the taxonomy that the labels make, sorted; return what to print of it."""
    write_taxonomy(path, sorted(leaves), depth)
    higher = sum(NONE in leaf for leaf in leaves)
    more = f" ({higher} end above the last level)" if higher else ""
    return f"taxonomy from the labels: {len(leaves)} leaves of {depth} levels{more}"
