"""Parse labels in the cells of a table: one column per level or all levels in one cell, one label or several."""

from alloy.datasets.source import Source
from alloy.formats.taxonomy import NONE, LabelPath, clean_label, normalize_label


def split_labels(cell: str, separator: str | None) -> list[str]:
    """Return the labels in a cell, as they are spelled (`clean_label`). Raises `ValueError` if one has a line break."""
    if separator is None or separator not in cell:
        return [clean_label(cell)]
    return [label for part in cell.split(separator) if (label := clean_label(part))] or [""]


def build_paths(cells: list[list[str]], source: Source, depth: int) -> list[LabelPath]:
    """Return the paths in one row. `cells` has the labels of each level. If all cells are empty, there are no paths.

    Labels are not normalized. An empty level becomes `(none)`. If a row has several labels, all its levels list them in
    the same order.

    >>> build_paths([["Price", "Service"], ["Too high", ""]], Source(format="csv"), 2)
    [('Price', 'Too high'), ('Service', '(none)')]
    """
    if source.path_separator is not None:
        paths = [_split_path(text, source.path_separator) for text in cells[0] if text]
    else:
        count = max(len(cell) for cell in cells)
        if any(len(cell) not in (1, count) or (len(cell) < count and cell != [""]) for cell in cells):
            numbers = ", ".join(f"{len(cell)} in L{level}" for level, cell in enumerate(cells, 1))
            raise ValueError(f"the levels have different numbers of labels ({numbers}); write the same number in each")
        paths = [
            list(labels)
            for labels in zip(*(cell * count if len(cell) < count else cell for cell in cells), strict=True)
        ]
    return [_fill_path(labels, depth) for labels in paths if any(labels)]


def _split_path(text: str, separator: str) -> list[str]:
    """Return the labels of a path in one cell. Invisible characters next to the separator are ignored."""
    labels, normal = text.split(separator), normalize_label(text).split(separator)
    return [clean_label(label) for label in (labels if len(labels) == len(normal) else normal)]


def _fill_path(labels: list[str], depth: int) -> LabelPath:
    while labels and not labels[-1]:
        labels.pop()
    if len(labels) > depth:
        raise ValueError(f"expected at most {depth} levels in a label, as in the taxonomy, got {len(labels)}")
    if not labels[0]:
        raise ValueError(f"the first level is empty, but a deeper one is '{labels[-1]}'; fill in the first level")
    return (*(label or NONE for label in labels), *[NONE] * (depth - len(labels)))


def looks_like_text(labels: list[set[str]], rows: int) -> int | None:
    """Return the number (from 1) of the first level that holds free text instead of labels; None if there is none.

    In free text, most rows have different values, and these are long.
    """
    for level, different in enumerate(labels, 1):
        if rows >= 20 and len(different) > rows / 2 and sum(map(len, different)) > 40 * len(different):
            return level
    return None
