"""The taxonomy: a fixed tree of labels, stored as the paths from the first level to each leaf."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from alloy.core.files import InputError, read_json, require_file, write_json
from alloy.core.tables import decode_document, read_table, split_lines
from alloy.core.text import has_text, normalize_text

LabelPath = tuple[str, ...]
Place = tuple[str, int]  # file and line
SEPARATOR = " > "
NONE = "(none)"  # label of a level that does not apply, since the path ends above it
WARNINGS = "label_warnings.json"  # next to a prepared taxonomy: warnings about its labels, which name the user's files
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


normalize_label = lru_cache(2**16)(normalize_text)  # cached, since few different labels are repeated often


@lru_cache(2**16)
def clean_label(text: str) -> str:
    """Return a label as it is spelled, with single spaces; "" if nothing of it is visible.

    Raises `ValueError` if it has a line break.
    """
    if sum(map(has_text, text.splitlines())) > 1:
        raise ValueError(f"label {normalize_text(text)!r} has a line break; write the label on one line")
    return " ".join(text.split()) if has_text(text) else ""


def normalize_path(path: LabelPath) -> LabelPath:
    """Return a path with normalized labels."""
    return tuple([normalize_label(label) for label in path])


def _ignore_warning(_warning: str) -> None:
    """Do nothing."""


def load_taxonomy(path: str | Path, warn: Callable[[str], object] = _ignore_warning) -> Taxonomy:
    """Read a table with columns `L1..Ln, description`, with any number of levels, as spreadsheet programs write it.

    Labels and descriptions are normalized (`normalize_text`). Models see and learn this spelling. Cells may be
    separated by commas, semicolons, tabs or bars, and the file may be UTF-8 or UTF-16.

    Anything else raises `InputError`, also a duplicate path or a label with a line break. `warn` is called with a
    warning, which names both places, for each pair of labels that differ only in case or in characters that
    `normalize_text` changes. For a prepared taxonomy, these are the warnings that `write_label_warnings` wrote.
    """
    path = Path(path)
    require_file(path, "write a CSV file with columns L1,L2,...,description")
    data = path.read_bytes()
    table = read_table(path, split_lines(decode_document(path, data)), lambda names: _find_levels(names) is not None)
    levels = _find_levels(table.header)
    if levels is None:
        raise InputError(f"{path}:1: {_describe_wrong_header(table.header)}")
    builder = TaxonomyBuilder(path)
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            too_many = len(cells) > len(table.header)
            quote = f"put cells that contain {table.separated_by} in quotes"
            fix = quote if too_many else "add the missing cells"
            raise InputError(f"{path}:{line}: expected {len(table.header)} cells, got {len(cells)}; {fix}")
        row = dict(zip(table.header, cells, strict=True))
        spelled = tuple([_parse_cell(f"{path}:{line}", level, row[level]) for level in levels])
        builder.add_leaf(line, spelled, row.get("description", ""))
    prepared = path.parent / WARNINGS
    for warning in read_json(prepared) if prepared.is_file() else builder.spellings.warnings:
        warn(warning)
    return builder.build(levels)


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


def _parse_cell(location: str, level: str, cell: str) -> str:
    """Return the label in a cell as it is spelled."""
    try:
        label = clean_label(cell)
    except ValueError as error:
        raise InputError(f"{location}: {level}: {error}") from None
    if not label:
        raise InputError(f"{location}: {level} is empty; write {NONE} if the level does not apply")
    return label


class TaxonomyBuilder:
    """Collects the leaves of a taxonomy file: their descriptions, lines and spellings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.leaves: dict[LabelPath, str] = {}
        self.spellings = Spellings()

    def add_leaf(self, line: int, spelled: LabelPath, description: str) -> None:
        """Add a leaf with its labels as they are spelled on `line`. Raises `InputError` if its path is known."""
        leaf, place = normalize_path(spelled), (str(self.path), line)
        if leaf in self.leaves:
            first, first_place = self.spellings.first[leaf]
            same = " (the spellings differ only in invisible characters or how accents are encoded)"
            raise InputError(
                f"{self.path}:{line}: duplicate path '{format_path(leaf)}', first used "
                f"{describe_place(first_place, place)}{same if first != spelled else ''}; remove one"
            )
        self.spellings.add_path(spelled, place)
        self.leaves[leaf] = normalize_text(description)

    def build(self, levels: Iterable[str]) -> Taxonomy:
        """Return the taxonomy. Raises `InputError` if it has no leaf."""
        if not self.leaves:
            raise InputError(f"{self.path}: the taxonomy has no rows; write one leaf per line")
        return Taxonomy(tuple(levels), self.leaves)


def describe_place(place: Place, here: Place) -> str:
    """Return `on line 3`, or `in file:3` if that is another file than `here`."""
    return f"on line {place[1]}" if place[0] == here[0] else f"in {place[0]}:{place[1]}"


class Spellings:
    """The first spelling of each node of a taxonomy, with its place, and warnings about nodes with similar labels."""

    def __init__(self) -> None:
        self.first: dict[LabelPath, tuple[LabelPath, Place]] = {}  # normalized node -> labels as spelled, place
        self.by_case: dict[LabelPath, LabelPath] = {}  # casefolded node -> first node with this form
        self.reported: set[tuple[LabelPath, str]] = set()  # normalized nodes with the other spellings of their label
        self.warnings: list[str] = []

    def add_path(self, spelled_leaf: LabelPath, place: Place) -> None:
        """Add the nodes on a path; warn once of each spelling that is similar to an earlier one."""
        leaf = normalize_path(spelled_leaf)
        for depth in range(1, len(leaf) + 1):
            node, spelled = leaf[:depth], spelled_leaf[:depth]
            if node in self.first:
                self._compare_spelling(node, spelled[-1], place)
                continue
            self.first[node] = spelled, place
            first = self.by_case.setdefault((*node[:-1], node[-1].casefold()), node)
            if first != node:
                self.warnings.append(
                    f"{place[0]}:{place[1]}: label '{format_path(node)}' differs from '{format_path(first)}' "
                    f"{describe_place(self.first[first][1], place)} only in case; they count as two labels, so write "
                    "them the same way if they are one"
                )

    def _compare_spelling(self, node: LabelPath, label: str, place: Place) -> None:
        first, first_place = self.first[node]
        if label == first[-1] or (node, label) in self.reported:
            return
        self.reported.add((node, label))
        self.warnings.append(
            f"{place[0]}:{place[1]}: label {label!a} differs from {first[-1]!a} {describe_place(first_place, place)} "
            "only in invisible characters or how accents are encoded; they count as one label"
        )


def write_label_warnings(folder: Path, warnings: list[str]) -> None:
    """Write the warnings about the labels of the user's files next to the prepared taxonomy, if there are any."""
    if warnings:
        write_json(folder / WARNINGS, warnings)
