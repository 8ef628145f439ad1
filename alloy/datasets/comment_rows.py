"""Read one row of a table of comments: find its cells and parse the fields and segments of its comment."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from alloy.core.files import InputError, Row
from alloy.core.text import normalize_text
from alloy.datasets.label_cells import build_paths, split_labels
from alloy.datasets.rows import Item, parse_row
from alloy.datasets.source import Source
from alloy.datasets.workbook import format_cell_value
from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.taxonomy import LabelPath, normalize_label, normalize_path
from alloy.formats.unlabeled import parse_json

MAX_TEXT = 1_000_000  # characters of a comment; no model has a longer context
Cells = dict[str, Any]  # by field (text, L1, ...): a string, or a list of strings


class Parsed(NamedTuple):
    """A parsed row: the fields of its comment, its segments, and the path of each segment, also as it is spelled."""

    id: str
    text: str
    fields: Row
    segments: list[dict[str, str]]
    paths: list[LabelPath]
    spelled: list[LabelPath]


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one file. `columns` has, for each field, the index of its cell or its key in a JSON row."""

    location: str
    columns: dict[str, int | str]
    source: Source
    depth: int

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the levels: L1, L2, ..."""
        return tuple(f"L{level}" for level in range(1, self.depth + 1))

    def read_cells(self, number: int, item: Item | list[str]) -> Cells:
        """Return the cells of a row by field. Keys that a JSON row does not have are empty."""
        if isinstance(item, list):
            return {name: item[column] for name, column in self.columns.items()}  # type: ignore[call-overload]
        row = parse_row(self.location, number, item)
        identity = row.get(str(self.columns.get("id")))
        if isinstance(identity, float) and isinstance(item, bytes):  # an integer of more than 64 bits
            row = parse_json(item.decode())
        cells = {name: _convert_value(row.get(str(column))) for name, column in self.columns.items()}
        if nested := [name for name, cell in cells.items() if cell is None]:
            raise InputError(
                f"{self.location}:{number}: `{self.columns[nested[0]]}`: expected text, a number or a list of strings, "
                "got an object; choose a column that contains text"
            )
        return cells

    def parse_cells(self, cells: Cells) -> Parsed:
        """Return the parsed row; raise `ValueError` if a cell is invalid."""
        source = self.source
        text = _read_single(cells, "text")
        if len(text) > MAX_TEXT:
            raise ValueError(
                f"expected at most {MAX_TEXT:,} characters of text, got {len(text):,}; shorten or remove the row"
            )
        levels = [cells[name] for name in cells if name[0] == "L"]
        labels = [
            [label for text in cell for label in split_labels(text, source.label_separator)] or [""]
            if isinstance(cell, list)
            else split_labels(cell, source.label_separator)
            for cell in levels
        ]
        spelled = build_paths(labels, source, self.depth)
        paths = [normalize_path(path) for path in spelled]
        emotions = [
            normalize_label(emotion) for emotion in split_labels(_read_single(cells, "emotion"), source.label_separator)
        ]
        if len(emotions) not in (1, len(paths)):
            raise ValueError(f"expected 1 or {len(paths)} emotions for {len(paths)} labels, got {len(emotions)}")
        content = _read_single(cells, "content")
        if content and len(paths) > 1:
            raise ValueError(
                f"expected one label, got {len(paths)}; a row with `content` is one segment, so write one label per row"
            )
        segments = [
            make_segment_row(Segment(path, content if content.strip() else None, emotion or None), self.levels)
            for path, emotion in zip(paths, emotions * len(paths) if len(emotions) == 1 else emotions, strict=False)
        ]
        return Parsed(_read_single(cells, "id").strip(), text, self._parse_fields(cells), segments, paths, spelled)

    def _parse_fields(self, cells: Cells) -> Row:
        """Return language, split and weight, if the row has them."""
        fields: Row = {}
        if lang := _read_single(cells, "lang").strip() or self.source.lang:
            fields["lang"] = lang
        if split := _read_single(cells, "split").strip():
            if split.lower() not in ("train", "test"):
                raise ValueError(f"`split`: expected train, test or nothing, got '{split}'")
            fields["split"] = split.lower()
        if weight := _read_single(cells, "weight").strip():
            try:
                fields["weight"] = float(weight.replace(",", "."))
            except ValueError:
                raise ValueError(f"`weight`: expected a number such as 0.5, got '{weight}'") from None
        return fields


def make_id(location: str, number: int) -> str:
    """Return an id for a comment without one: its file name and row number."""
    return f"{PurePath(location).name.partition('.')[0]}-{number}"


def build_comment_row(identity: str, parsed: Parsed, segments: list[dict[str, str]]) -> Row:
    """Return the canonical comment."""
    lang = {"lang": parsed.fields["lang"]} if "lang" in parsed.fields else {}
    return {"id": identity, **lang, "text": parsed.text, **parsed.fields, "segments": segments}


def _convert_value(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a value as a string or as a list of strings; None if it is or contains an object."""
    items = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(item, dict | list | tuple) for item in items):
        return None
    texts = [format_cell_value(item) for item in items]
    return texts if isinstance(value, list | tuple) else texts[0]


def _read_single(cells: Cells, name: str) -> str:
    value = cells.get(name, "")
    if isinstance(value, list):
        raise ValueError(f"`{name}`: expected a string, got an array")
    return value


def is_blank(text: str) -> bool:
    """Return whether a text has no visible characters."""
    return not text or (len(text) < 200 and not normalize_text(text))
