"""The taxonomy: a closed tree of labels, kept as its paths from the first level to the leaf."""

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
SHOWN = 100  # letters of a header that are shown in an error


@dataclass(frozen=True)
class Taxonomy:
    """Leaf paths with their descriptions, in file order; every path has one label for each of `levels`.

    Labels are spelled as `normalize_text` spells them, so that paths can be compared letter by letter.
    """

    levels: tuple[str, ...]
    leaves: dict[LabelPath, str]

    def check(self, path: LabelPath) -> None:
        """Raise `ValueError` with the nearest known path unless `path` is a leaf."""
        if path not in self.leaves:
            near = difflib.get_close_matches(show(path), map(show, self.leaves), n=1, cutoff=0.6)
            if near:
                hint = f" (did you mean '{near[0]}'?{_first_difference(show(path), near[0])})"
            else:
                hint = "; add it there or correct the label"
            raise ValueError(f"label '{show(path)}' is not in the taxonomy{hint}")

    def to_rows(self) -> list[dict[str, str]]:
        """Return one `{L1..Ln, description}` a leaf."""
        return [
            {**dict(zip(self.levels, path, strict=True)), "description": description}
            for path, description in self.leaves.items()
        ]

    @classmethod
    def from_rows(cls, rows: list[dict[str, str]]) -> "Taxonomy":
        """Undo `to_rows`."""
        levels = tuple(key for key in rows[0] if key != "description")
        return cls(levels, {tuple(row[level] for level in levels): row["description"] for row in rows})


def show(path: LabelPath) -> str:
    """Return `path` as a person reads it: `Setup > Pairing > Bluetooth`."""
    return SEPARATOR.join(path)


def _first_difference(given: str, known: str) -> str:
    """Name the first two characters that differ, if they look alike: letters of two alphabets, say."""
    for one, other in zip(given, known, strict=False):
        if one != other:
            named = [f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}" for letter in (one, other)]
            alike = len(given) == len(known) and not (one.isascii() and other.isascii())
            return f" They differ in {named[0]} and {named[1]}." if alike else ""
    return ""


def _ignore(_warning: str) -> None:
    """Do nothing."""


def load_taxonomy(path: str | Path, warn: Callable[[str], object] = _ignore) -> Taxonomy:
    """Read a table with columns `L1..Ln, description`, of any depth n from 1, as a spreadsheet program writes it.

    Labels and descriptions are kept as `normalize_text` spells them (`alloy/core/text.py`), which is the spelling that
    is shown and taught. Cells may be separated by commas, semicolons, tabs or bars, the file may be UTF-8 or UTF-16.

    A path that comes twice, in whatever spelling, and a label with a line break raise `InputError`. `warn` is told of
    labels that are spelled in two ways, or that differ only in case, with both places.
    """
    path = Path(path)
    require_file(path, "write a CSV file with columns L1,L2,..,description")
    data = path.read_bytes()
    table = read_table(path, split_lines(decode_document(path, data)), lambda names: _levels(names) is not None)
    levels = _levels(table.header)
    if levels is None:
        raise InputError(f"{path}:1: {_wrong_header(table.header)}")
    leaves: dict[LabelPath, str] = {}
    lines: dict[LabelPath, int] = {}
    spellings = _Spellings()
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            more = len(cells) > len(table.header)
            fix = f"quote cells that hold {table.separated_by}" if more else "add what is missing"
            raise InputError(f"{path}:{line}: {len(cells)} cells under {len(table.header)} columns; {fix}")
        row = dict(zip(table.header, cells, strict=True))
        given = tuple(row[level].strip() for level in levels)
        leaf = tuple(_label(f"{path}:{line}", level, row[level]) for level in levels)
        if leaf in leaves:
            again = "; the two spellings differ only in invisible characters, spaces or how accents are encoded"
            why = again if spellings.first_of(leaf) != given else ""
            raise InputError(f"{path}:{line}: path '{show(leaf)}' stands already in line {lines[leaf]}{why}; drop one")
        for warning in spellings.add(leaf, given, line):
            warn(f"{path}:{line}: {warning}")
        leaves[leaf] = normalize_text(row.get("description", ""))
        lines[leaf] = line
    if not leaves:
        raise InputError(f"{path}: the taxonomy has no rows; write one leaf a line")
    return Taxonomy(levels, leaves)


def _levels(header: list[str]) -> tuple[str, ...] | None:
    """Return the names of the levels, or None if these are not the columns of a taxonomy."""
    levels = tuple(name for name in header if name != "description")
    wanted = tuple(f"L{depth}" for depth in range(1, len(levels) + 1))
    return levels if levels and levels == wanted and header.count("description") <= 1 else None


def _wrong_header(header: list[str]) -> str:
    """Return what is wrong with the columns of a taxonomy, and how to fix it."""
    levels = [name for name in header if re.fullmatch(r"L[1-9]\d*", name)]
    named = normalize_text(",".join(header))
    shown = named if len(named) <= SHOWN else f"{named[:SHOWN]}.."
    if not levels:
        return f"expected a header line such as L1,L2,L3,description, found '{shown}'"
    if double := [name for name in header if header.count(name) > 1]:
        return f"two columns are called '{double[0]}'; give each its own name"
    if unknown := [name for name in header if name not in levels and name != "description"]:
        return f"unknown column '{unknown[0][:SHOWN]}'; remove it, the columns are L1,L2,..,description"
    return f"levels are {','.join(levels)}; number them from L1 on, without a gap and in this order"


def _label(place: str, level: str, cell: str) -> str:
    if len(cell.strip().splitlines()) > 1:
        raise InputError(f"{place}: {level} has a line break in it; write the label in one line")
    label = normalize_text(cell)
    if not label:
        raise InputError(f"{place}: {level} is empty; write (none) where a level does not apply")
    return label


class _Spellings:
    """The nodes of a taxonomy as they are spelled in its file: each label once, with the line where it came first."""

    def __init__(self) -> None:
        self.given: dict[LabelPath, tuple[LabelPath, int]] = {}  # by node
        self.by_case: dict[LabelPath, LabelPath] = {}  # the first node of those that differ only in case

    def first_of(self, node: LabelPath) -> LabelPath:
        """Return the labels of a node as they were given first."""
        return self.given[node][0]

    def add(self, leaf: LabelPath, given: LabelPath, line: int) -> Iterator[str]:
        """Take up the nodes on the path to `leaf`, and yield what to warn of: one warning for each pair of labels."""
        for depth in range(1, len(leaf) + 1):
            node, spelled = leaf[:depth], given[:depth]
            if node in self.given:
                first, where = self.given[node]
                if first[-1] != spelled[-1]:
                    yield (
                        f"label {spelled[-1]!a} is the same as {first[-1]!a} in line {where} but for invisible "
                        "characters, spaces or how accents are encoded; they are taken as one label"
                    )
                continue
            self.given[node] = spelled, line
            folded = (*node[:-1], node[-1].casefold())
            first = self.by_case.setdefault(folded, node)
            if first != node:
                yield (
                    f"label '{show(node)}' differs from '{show(first)}' in line {self.given[first][1]} only in case; "
                    "they are two labels, write both in one way if they are meant as one"
                )
