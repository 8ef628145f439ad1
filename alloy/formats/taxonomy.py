"""The taxonomy: a fixed tree of labels, stored as the paths from the first level to each leaf."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, require_file
from alloy.core.tables import decode_document, read_table, split_lines
from alloy.core.text import normalize_text

LabelPath = tuple[str, ...]
SEPARATOR = " > "
MAX_SHOWN_LENGTH = 100  # characters of a header in an error


@dataclass(frozen=True)
class Taxonomy:
    """Leaf paths with their descriptions, in file order; each path has one label per level.

    Labels are normalized (`normalize_text`), so that paths can be compared as strings.
    """

    levels: tuple[str, ...]
    leaves: dict[LabelPath, str]

    def check_path(self, path: LabelPath) -> None:
        """Raise `ValueError`, with the most similar known path, unless `path` is a leaf."""
        if path not in self.leaves:
            similar = difflib.get_close_matches(format_path(path), map(format_path, self.leaves), n=1, cutoff=0.6)
            if similar:
                hint = f" (did you mean '{similar[0]}'?{_describe_first_difference(format_path(path), similar[0])})"
            else:
                hint = "; add it or correct the label"
            raise ValueError(f"label '{format_path(path)}' is not in the taxonomy{hint}")

    def to_rows(self) -> list[dict[str, str]]:
        """Return one `{L1..Ln, description}` per leaf."""
        return [
            {**dict(zip(self.levels, path, strict=True)), "description": description}
            for path, description in self.leaves.items()
        ]

    @classmethod
    def from_rows(cls, rows: list[dict[str, str]]) -> "Taxonomy":
        """Return the taxonomy with these rows; the inverse of `to_rows`."""
        levels = tuple(key for key in rows[0] if key != "description")
        return cls(levels, {tuple(row[level] for level in levels): row["description"] for row in rows})


def format_path(path: LabelPath) -> str:
    """Return `path` as text: `Setup > Pairing > Bluetooth`."""
    return SEPARATOR.join(path)


def _describe_first_difference(path: str, known: str) -> str:
    """Return a sentence with the first two characters that differ, if they may look the same; else ""."""
    for a, b in zip(path, known, strict=False):
        if a != b:
            names = [f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}" for letter in (a, b)]
            may_look_same = len(path) == len(known) and not (a.isascii() and b.isascii())
            return f" They differ in {names[0]} and {names[1]}." if may_look_same else ""
    return ""


def _ignore_warning(_warning: str) -> None:
    """Do nothing."""


def load_taxonomy(path: str | Path, warn: Callable[[str], object] = _ignore_warning) -> Taxonomy:
    """Read a table with columns `L1..Ln, description`, with any number of levels, as spreadsheet programs write it.

    Labels and descriptions are normalized (`normalize_text`). Models see and learn this spelling. Cells may be
    separated by commas, semicolons, tabs or bars, and the file may be UTF-8 or UTF-16.

    Anything else raises `InputError`, also a duplicate path or a label with a line break. `warn` is called with a
    warning, which names both lines, for each pair of labels that differ only in case or in characters that
    `normalize_text` changes.
    """
    path = Path(path)
    require_file(path, "write a CSV file with columns L1,L2,...,description")
    data = path.read_bytes()
    table = read_table(path, split_lines(decode_document(path, data)), lambda names: _find_levels(names) is not None)
    levels = _find_levels(table.header)
    if levels is None:
        raise InputError(f"{path}:1: {_describe_wrong_header(table.header)}")
    leaves: dict[LabelPath, str] = {}
    lines: dict[LabelPath, int] = {}
    spellings = _Spellings()
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            too_many = len(cells) > len(table.header)
            quote = f"put cells that contain {table.separated_by} in quotes"
            fix = quote if too_many else "add the missing cells"
            raise InputError(f"{path}:{line}: expected {len(table.header)} cells, got {len(cells)}; {fix}")
        row = dict(zip(table.header, cells, strict=True))
        spelled = tuple(row[level].strip() for level in levels)
        leaf = tuple(_parse_label(f"{path}:{line}", level, row[level]) for level in levels)
        if leaf in leaves:
            same = " (the spellings differ only in invisible characters, spaces or how accents are encoded)"
            why = same if spellings.get_first_spelling(leaf) != spelled else ""
            raise InputError(
                f"{path}:{line}: duplicate path '{format_path(leaf)}', first used on line {lines[leaf]}{why}; "
                "remove one"
            )
        for warning in spellings.add_path(leaf, spelled, line):
            warn(f"{path}:{line}: {warning}")
        leaves[leaf] = normalize_text(row.get("description", ""))
        lines[leaf] = line
    if not leaves:
        raise InputError(f"{path}: the taxonomy has no rows; write one leaf per line")
    return Taxonomy(levels, leaves)


def _find_levels(header: list[str]) -> tuple[str, ...] | None:
    """Return the names of the levels in a header, or None if it is not the header of a taxonomy."""
    levels = tuple(name for name in header if name != "description")
    expected = tuple(f"L{depth}" for depth in range(1, len(levels) + 1))
    return levels if levels and levels == expected and header.count("description") <= 1 else None


def _describe_wrong_header(header: list[str]) -> str:
    """Return what is wrong with the header of a taxonomy, and how to fix it."""
    levels = [name for name in header if re.fullmatch(r"L[1-9]\d*", name)]
    columns = normalize_text(",".join(header))
    shown = columns if len(columns) <= MAX_SHOWN_LENGTH else f"{columns[:MAX_SHOWN_LENGTH]}..."
    if not levels:
        return f"expected a header line such as L1,L2,L3,description, got '{shown}'"
    if duplicates := [name for name in header if header.count(name) > 1]:
        return f"duplicate column '{duplicates[0]}'; column names must be unique"
    if unknown := [name for name in header if name not in levels and name != "description"]:
        return (
            f"unknown column '{unknown[0][:MAX_SHOWN_LENGTH]}'; remove it, or rename it to one of L1,L2,...,description"
        )
    return f"expected levels L1,L2,... in order and without gaps, got {','.join(levels)}"


def _parse_label(location: str, level: str, cell: str) -> str:
    if len(cell.strip().splitlines()) > 1:
        raise InputError(f"{location}: {level} has a line break; write the label on one line")
    label = normalize_text(cell)
    if not label:
        raise InputError(f"{location}: {level} is empty; write (none) if the level does not apply")
    return label


class _Spellings:
    """The first spelling of each node of a taxonomy in its file, with its line."""

    def __init__(self) -> None:
        self.first: dict[LabelPath, tuple[LabelPath, int]] = {}  # normalized node -> labels as spelled, line
        self.by_case: dict[LabelPath, LabelPath] = {}  # casefolded node -> first node with this form

    def get_first_spelling(self, node: LabelPath) -> LabelPath:
        """Return the labels of a node as they were spelled first."""
        return self.first[node][0]

    def add_path(self, leaf: LabelPath, spelled_leaf: LabelPath, line: int) -> Iterator[str]:
        """Add the nodes on the path to `leaf`; yield a warning for each pair of labels with similar spellings."""
        for depth in range(1, len(leaf) + 1):
            node, spelled = leaf[:depth], spelled_leaf[:depth]
            if node in self.first:
                first, first_line = self.first[node]
                if first[-1] != spelled[-1]:
                    yield (
                        f"label {spelled[-1]!a} differs from {first[-1]!a} on line {first_line} only in invisible "
                        "characters, spaces or how accents are encoded; they count as one label"
                    )
                continue
            self.first[node] = spelled, line
            folded = (*node[:-1], node[-1].casefold())
            first = self.by_case.setdefault(folded, node)
            if first != node:
                yield (
                    f"label '{format_path(node)}' differs from '{format_path(first)}' on line {self.first[first][1]} "
                    "only in case; they count as two labels, so write them the same way if they are one"
                )
