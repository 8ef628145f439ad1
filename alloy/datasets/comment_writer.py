"""Write the comments of a table in order, join the segments of each comment, and check the data as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from alloy.core.files import InputError, join_errors
from alloy.core.text import normalize_text
from alloy.datasets.comment_rows import Parsed, build_comment_row, is_blank, make_id
from alloy.datasets.label_cells import looks_like_text
from alloy.datasets.source import SOURCE, Source
from alloy.formats.taxonomy import LabelPath, Place

SHOWN = 3  # rows without a text or a label that are listed


@dataclass
class Block:
    """The parsed rows of a block: either `comments` (row number, id, JSON line), or `segments` of comments."""

    comments: list[tuple[int, str, bytes]] = field(default_factory=list)
    segments: list[tuple[int, Parsed]] = field(default_factory=list)
    paths: dict[LabelPath, int] = field(default_factory=dict)
    uses: dict[LabelPath, int] = field(default_factory=dict)  # first row with each path, as it is spelled
    empty: list[int] = field(default_factory=list)  # rows without a text
    unlabeled: list[int] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)  # columns for which some JSON row has a value


class CommentWriter:
    """Collects blocks in order, joins the segments of each comment, and checks the data as a whole."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.files: dict[str, int] = {}  # number of comments per file
        self.numbers: list[int] = []  # row number of each comment in its file
        self.paths: dict[LabelPath, int] = {}
        self.uses: dict[LabelPath, Place] = {}  # first use of each path, as it is spelled
        self.ids: dict[str, str] = {}  # `file:row` of the first use of each id
        self.joined: dict[str, tuple[bytes, list[bytes]]] = {}  # comments with their segments, by id or normalized text
        self.previous: str | None = None  # key in `joined` of the comment of the previous row
        self.empty: list[str] = []
        self.unlabeled: list[str] = []
        self.errors: list[str] = []
        self.keys: set[str] = set()
        self.location = ""
        self.ready: list[bytes] = []

    def begin_file(self, location: str) -> None:
        """Start the next file."""
        self.location = location
        self.files[location] = 0

    def add_block(self, block: Block) -> None:
        """Add the rows of a block of the current file."""
        location = self.location
        for path, count in block.paths.items():
            self.paths[path] = self.paths.get(path, 0) + count
        for spelled, number in block.uses.items():
            self.uses.setdefault(spelled, (location, number))
        self.empty += [f"{location}:{number}" for number in block.empty]
        self.unlabeled += [f"{location}:{number}" for number in block.unlabeled]
        self.errors += [f"{location}:{number}: {error}" for number, error in block.errors]
        self.keys |= block.keys
        for number, identity, line in block.comments:
            if "id" in self.source.columns.of_comments:
                here = f"{location}:{number}"
                if (first := self.ids.setdefault(identity, here)) != here:
                    fix = "ids must be unique; if each row is one segment of a comment, write `row_is: segment`"
                    self.errors.append(f"{here}: duplicate id '{identity}' (first used in {first}); {fix}")
            self.ready.append(line)
            self._count_comment(number)
        for number, parsed in block.segments:
            self._add_segments(number, parsed)

    def _count_comment(self, number: int) -> None:
        self.files[self.location] += 1
        self.numbers.append(number)

    def _add_segments(self, number: int, parsed: Parsed) -> None:
        """Add the segments of a row to its comment. A row without id and text belongs to the previous comment."""
        blank = is_blank(parsed.text)
        key = parsed.id or (normalize_text(parsed.text) if not blank else self.previous)
        here = f"{self.location}:{number}"
        if key is None:
            self.errors.append(f"{here}: no text, no id, and no comment before this row; fill in one of them")
            return
        self.previous = key
        segments = [orjson.dumps(segment) for segment in parsed.segments]
        if key not in self.joined:
            if blank:
                self.errors.append(f"{here}: no text in the first row of comment '{key}'; write the text there")
                return
            identity = parsed.id or make_id(self.location, number)
            head = orjson.dumps(build_comment_row(identity, parsed, []))[:-2]  # the JSON up to the first segment
            self.joined[key] = head, segments
            self._count_comment(number)
            return
        head, known = self.joined[key]
        if not blank and parsed.id:
            first = orjson.loads(head + b"]}")["text"]
            if first != parsed.text and normalize_text(first) != normalize_text(parsed.text):
                fix = "use one id per text"
                self.errors.append(f"{here}: the text of comment '{key}' differs from its first row; {fix}")
        known += segments

    def take_lines(self) -> list[bytes]:
        """Return the lines that are ready to write, and clear them."""
        ready, self.ready = self.ready, []
        return ready

    def yield_joined(self) -> Iterator[bytes]:
        """Yield the lines of the comments that were joined from segments."""
        for head, segments in self.joined.values():
            yield head + b",".join(segments) + b"]}\n"

    def check_columns(self, columns: dict[str, int | str]) -> None:
        """Raise `InputError` if no JSON row of the file has a value for one of the columns."""
        missing = [name for name, key in columns.items() if isinstance(key, str) and name not in self.keys]
        if missing and (self.numbers or self.empty or self.unlabeled):
            found = f"columns.{missing[0]}: no row has a value for '{columns[missing[0]]}'"
            raise InputError(f"{self.location}: {found}; correct or remove columns.{missing[0]}")

    def check_rows(self, folder: Path) -> None:
        """Raise `InputError` if rows are invalid, if there are no comments, or if the labels look like free text."""
        if self.errors:
            raise join_errors(self.errors)
        if not self.numbers:
            found = f"{len(self.empty)} rows without a text, {len(self.unlabeled)} without a label"
            hint = "; formulas need stored values: open the workbook and save it" if self.empty else ""
            raise InputError(
                f"{self.location}: no labeled comments ({found}); fix `columns` in {folder / SOURCE}{hint}"
            )
        depth = len(next(iter(self.paths)))
        labels = [{path[level] for path in self.paths} for level in range(depth)]
        if level := looks_like_text(labels, sum(self.paths.values())):
            columns = self.source.columns.levels
            column = columns[min(level, len(columns)) - 1]
            found = f"{len(labels[level - 1])} different values in {sum(self.paths.values())} segments"
            fix = "set `levels` to the columns with the labels"
            raise InputError(f"{self.location}: columns.levels: '{column}' looks like free text ({found}); {fix}")

    def describe_left_out(self) -> list[str]:
        """Return the lines to print about rows that were left out."""
        lines = []
        for rows, missing in ((self.empty, "text"), (self.unlabeled, "label")):
            if rows:
                shown = ", ".join(rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
                lines.append(f"{len(rows)} rows without a {missing} left out ({shown})")
        return lines
