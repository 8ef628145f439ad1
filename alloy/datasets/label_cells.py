"""Labels in the cells of a table: levels in columns or in one cell, one label or several."""

from functools import lru_cache

from alloy.core.text import normalize_text
from alloy.datasets.source import Source
from alloy.formats.taxonomy import LabelPath

NONE = "(none)"  # a level that does not apply: the label is one higher up

normalized = lru_cache(2**16)(normalize_text)  # labels are few, and come again and again


def split_labels(cell: str, separator: str | None) -> list[str]:
    """Return the labels in a cell, normalized."""
    if separator is None or separator not in cell:
        return [normalized(cell)]
    return [normalized(part) for part in cell.split(separator) if part.strip()] or [""]


def label_paths(cells: list[list[str]], source: Source, depth: int) -> list[LabelPath]:
    """Return the paths in the cells of one row, which hold their labels level by level; none if all are empty.

    A level that is empty does not apply. Several labels in a row stand in the same order in all of its levels.

    >>> label_paths([["Price", "Service"], ["Too high", ""]], Source(format="csv"), 2)
    [('Price', 'Too high'), ('Service', '(none)')]
    """
    if source.path_separator is not None:
        found = [[normalized(label) for label in one.split(source.path_separator)] for one in cells[0] if one]
    else:
        count = max(len(cell) for cell in cells)
        if any(len(cell) not in (1, count) or (len(cell) < count and cell != [""]) for cell in cells):
            numbers = ", ".join(f"{len(cell)} in L{level}" for level, cell in enumerate(cells, 1))
            raise ValueError(f"the levels have different numbers of labels ({numbers}); write as many in each")
        found = [
            list(one) for one in zip(*(cell * count if len(cell) < count else cell for cell in cells), strict=True)
        ]
    return [_filled(labels, depth) for labels in found if any(labels)]


def _filled(labels: list[str], depth: int) -> LabelPath:
    while labels and not labels[-1]:
        labels.pop()
    if len(labels) > depth:
        raise ValueError(f"a label has {len(labels)} levels, the taxonomy has {depth}")
    if not labels[0]:
        raise ValueError(f"the first level is empty and a deeper one is not ('{labels[-1]}'); fill in the first level")
    return (*(label or NONE for label in labels), *[NONE] * (depth - len(labels)))


def looks_like_text(labels: list[set[str]], rows: int) -> int | None:
    """Return the number of the first level, from 1, whose labels are sentences rather than labels; None if none is.

    In free text, most rows have a value of their own, and it is long.
    """
    for level, found in enumerate(labels, 1):
        if rows >= 20 and len(found) > rows / 2 and sum(map(len, found)) > 40 * len(found):
            return level
    return None
