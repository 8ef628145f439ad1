"""Write the taxonomy of a data set, from the table next to the comments or from their labels."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from alloy.core.files import InputError
from alloy.core.tables import format_csv
from alloy.core.text import has_text, normalize_text
from alloy.datasets.find_file import list_names, resolve_inside
from alloy.datasets.label_cells import build_paths, split_labels
from alloy.datasets.open_table import find_column, open_table
from alloy.datasets.source import SOURCE, Source
from alloy.formats.taxonomy import (
    NONE,
    LabelPath,
    Place,
    Spellings,
    Taxonomy,
    TaxonomyBuilder,
    load_taxonomy,
    normalize_path,
    write_label_warnings,
)

LEVEL = re.compile(r"L[1-9][0-9]*")
NAMES = ("taxonomy.csv", "taxonomy.xlsx")
OUT = "taxonomy.csv"


def find_taxonomy(folder: Path, source: Source) -> Path | None:
    """Return the table that source.yaml names, or the one with the default name, or None."""
    if source.taxonomy is not None:
        path = resolve_inside(folder, source.taxonomy)
        if not path.is_file():
            raise InputError(
                f"{folder / SOURCE}: taxonomy: no {source.taxonomy} in {folder}; use one of {list_names(folder)}"
            )
        return path
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def copy_taxonomy(path: Path, source: Source, out: Path) -> Taxonomy:
    """Convert a taxonomy table to the canonical taxonomy.csv, and return the taxonomy.

    The columns are L1, L2, ..., or have the names of the comments' levels. An empty level becomes `(none)`. A canonical
    file is copied without changes. Warnings about similar labels are written next to it.
    """
    table = open_table(path, Source(format=source.format), lambda names: bool(_find_level_columns(names, source)))
    columns = _find_level_columns(table.header, source)
    if not columns:
        wanted = ",".join(source.columns.levels) or "L1,L2,..."
        raise InputError(
            f"{path}:1: expected columns {wanted},description, got '{','.join(table.header)}'; rename them"
        )
    description = next((index for index, name in enumerate(table.header) if name.casefold() == "description"), None)
    rows = list(table.rows)
    in_one_column = source.path_separator is not None and columns == source.columns.levels
    depth = (
        len(columns)
        if not in_one_column
        else _count_levels([cells[0] for _, cells in rows], source.path_separator or "")
    )
    indices = [find_column(path, table.header, name, "levels") for name in columns]
    complete = all(has_text(cells[index]) for _, cells in rows for index in indices)
    if (
        complete
        and path.suffix == ".csv"
        and columns == [name for name in table.header if name != "description"] == _name_levels(depth)
    ):
        warnings: list[str] = []
        taxonomy = load_taxonomy(path, warnings.append)  # errors and warnings name the user's file
        shutil.copyfile(path, out / OUT)
        write_label_warnings(out, warnings)
        return taxonomy
    path_source = source if in_one_column else Source(format=source.format)
    builder = TaxonomyBuilder(path)
    for line, cells in rows:
        try:
            leaves = build_paths([split_labels(cells[index], None) for index in indices], path_source, depth)
        except ValueError as error:
            raise InputError(f"{path}:{line}: {error}") from None
        for leaf in leaves:
            builder.add_leaf(line, leaf, cells[description] if description is not None else "")
    taxonomy = builder.build(_name_levels(depth))
    write_taxonomy(out / OUT, taxonomy.leaves, depth)
    write_label_warnings(out, builder.spellings.warnings)
    return taxonomy


def _name_levels(depth: int) -> list[str]:
    return [f"L{level}" for level in range(1, depth + 1)]


def _find_level_columns(header: list[str], source: Source) -> list[str]:
    """Return the columns of the levels in order; an empty list if it is not a taxonomy's header."""
    numbered = [name for name in header if LEVEL.fullmatch(name)]
    if numbered and sorted(numbered) == sorted(_name_levels(len(numbered))):
        return _name_levels(len(numbered))
    names = {normalize_text(name) for name in header}
    levels = source.columns.levels
    return levels if levels and all(normalize_text(name) in names for name in levels) else []


def _count_levels(cells: Iterable[str], separator: str) -> int:
    return max((cell.count(separator) + 1 for cell in cells), default=1)


def write_taxonomy(path: Path, leaves: dict[LabelPath, str] | Iterable[LabelPath], depth: int) -> None:
    """Write the canonical taxonomy: one leaf per row, with its description if there is one."""
    descriptions = leaves if isinstance(leaves, dict) else dict.fromkeys(leaves, "")
    text = format_csv(
        [*_name_levels(depth), "description"], ([*leaf, description] for leaf, description in descriptions.items())
    )
    path.write_text(text, encoding="utf-8", newline="")


def write_from_labels(path: Path, uses: dict[LabelPath, Place], depth: int) -> str:
    """Write a taxonomy of all labels, sorted, and warnings about similar ones; return the line to print.

    `uses` has the place where each path, as it is spelled, is used first.
    """
    leaves = set(map(normalize_path, uses))
    write_taxonomy(path, sorted(leaves), depth)
    spellings = Spellings()
    for leaf, place in uses.items():
        spellings.add_path(leaf, place)
    write_label_warnings(path.parent, spellings.warnings)
    higher = sum(NONE in leaf for leaf in leaves)
    more = f" ({higher} end above the last level)" if higher else ""
    return f"taxonomy from the labels: {len(leaves)} leaves of {depth} levels{more}"
