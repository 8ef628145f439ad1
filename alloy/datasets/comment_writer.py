"""The comments of a table as they are written: in order, segments gathered by comment, checked as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from alloy.core.files import InputError, join_errors
from alloy.datasets.comment_rows import Parsed, comment_row, is_blank, made_id
from alloy.datasets.label_cells import looks_like_text
from alloy.datasets.source import SOURCE, Source
from alloy.formats.taxonomy import LabelPath

NAMED = 3  # rows without a text or a label that are named


@dataclass
class Block:
    """What a block of rows has become: `made` has (number, id, line) of whole comments, `parts` rows of segments."""

    made: list[tuple[int, str, bytes]] = field(default_factory=list)
    parts: list[tuple[int, Parsed]] = field(default_factory=list)
    paths: dict[LabelPath, int] = field(default_factory=dict)
    empty: list[int] = field(default_factory=list)  # rows without a text
    unlabelled: list[int] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)  # of the columns, those that JSON rows have


class CommentWriter:
    """Puts blocks in order, gathers segments by comment, and finds what only shows in the whole data."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.files: dict[str, int] = {}  # comments by file
        self.numbers: list[int] = []  # row of each comment in its file
        self.paths: dict[LabelPath, int] = {}
        self.ids: dict[str, str] = {}  # where each id was used first
        self.gathered: dict[str, tuple[bytes, list[bytes]]] = {}  # comments by key, with their segments
        self.last: str | None = None  # key of the row before
        self.empty: list[str] = []
        self.unlabelled: list[str] = []
        self.errors: list[str] = []
        self.keys: set[str] = set()
        self.place = ""
        self.ready: list[bytes] = []

    def begin(self, place: str) -> None:
        """Go on with another file."""
        self.place = place
        self.files[place] = 0

    def take(self, block: Block) -> None:
        """Take up a block."""
        place = self.place
        for path, count in block.paths.items():
            self.paths[path] = self.paths.get(path, 0) + count
        self.empty += [f"{place}:{number}" for number in block.empty]
        self.unlabelled += [f"{place}:{number}" for number in block.unlabelled]
        self.errors += [f"{place}:{number}: {error}" for number, error in block.errors]
        self.keys |= block.keys
        for number, identity, line in block.made:
            if "id" in self.source.columns.of_comments:
                here = f"{place}:{number}"
                if (first := self.ids.setdefault(identity, here)) != here:
                    fix = "ids must be unique; if each row is one segment of a comment, write `row_is: segment`"
                    self.errors.append(f"{here}: duplicate id '{identity}' (first used in {first}); {fix}")
            self.ready.append(line)
            self._count(number)
        for number, parsed in block.parts:
            self._gather(number, parsed)

    def _count(self, number: int) -> None:
        self.files[self.place] += 1
        self.numbers.append(number)

    def _gather(self, number: int, parsed: Parsed) -> None:
        """Add the segments of a row to its comment; a row without id and text goes on with the comment before."""
        blank = is_blank(parsed.text)
        key = parsed.id or (parsed.text if not blank else self.last)
        here = f"{self.place}:{number}"
        if key is None:
            self.errors.append(f"{here}: no text and no id, and no comment before it; fill in one of them")
            return
        self.last = key
        segments = [orjson.dumps(segment) for segment in parsed.segments]
        if key not in self.gathered:
            if blank:
                self.errors.append(f"{here}: the first row of comment '{key}' has no text; write it there")
                return
            identity = parsed.id or made_id(self.place, number)
            head = orjson.dumps(comment_row(identity, parsed, []))[:-2]  # up to the segments
            self.gathered[key] = head, segments
            self._count(number)
            return
        head, known = self.gathered[key]
        if not blank and parsed.id and orjson.loads(head + b"]}")["text"] != parsed.text:
            self.errors.append(
                f"{here}: comment '{key}' has another text than in its first row; give each text its own id"
            )
        known += segments

    def lines(self) -> list[bytes]:
        """Return the lines that are ready, once."""
        ready, self.ready = self.ready, []
        return ready

    def rest(self) -> Iterator[bytes]:
        """Yield the lines of the comments that were gathered."""
        for head, segments in self.gathered.values():
            yield head + b",".join(segments) + b"]}\n"

    def end(self, places: dict[str, int | str]) -> None:
        """Check that a file of JSON rows has had all the columns."""
        missing = [name for name, key in places.items() if isinstance(key, str) and name not in self.keys]
        if missing and (self.numbers or self.empty or self.unlabelled):
            named = f"columns.{missing[0]}: no row has a value for '{places[missing[0]]}'"
            raise InputError(f"{self.place}: {named}; correct the name, or leave it out")

    def check(self, folder: Path) -> None:
        """Raise `InputError` with what is wrong with the rows, or with all of them together."""
        if self.errors:
            raise join_errors(self.errors)
        if not self.numbers:
            found = f"{len(self.empty)} rows without a text, {len(self.unlabelled)} without a label"
            hint = (
                "; formulas count with the value that was stored: open the workbook and save it" if self.empty else ""
            )
            raise InputError(f"{self.place}: no labeled comment ({found}); correct columns in {folder / SOURCE}{hint}")
        depth = len(next(iter(self.paths)))
        labels = [{path[level] for path in self.paths} for level in range(depth)]
        if level := looks_like_text(labels, sum(self.paths.values())):
            columns = self.source.columns.levels
            column = columns[min(level, len(columns)) - 1]
            found = f"{len(labels[level - 1])} different values in {sum(self.paths.values())} segments"
            fix = "name the columns with the labels"
            raise InputError(f"{self.place}: columns.levels: '{column}' looks like free text ({found}); {fix}")

    def left_out(self) -> list[str]:
        """Return what to print of rows that are no comments."""
        said = []
        for rows, lack in ((self.empty, "text"), (self.unlabelled, "label")):
            if rows:
                named = ", ".join(rows[:NAMED]) + (", .." if len(rows) > NAMED else "")
                said.append(f"{len(rows)} rows without a {lack} left out ({named})")
        return said
