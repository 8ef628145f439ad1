"""One row of a table of comments: which cell holds what, and the parts of a comment that it makes."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from alloy.core.files import Row
from alloy.core.text import normalize_text
from alloy.datasets.label_cells import label_paths, split_labels
from alloy.datasets.rows import Item, parse_row
from alloy.datasets.source import Source
from alloy.datasets.workbook import cell_text
from alloy.formats.comments import Segment, segment_row
from alloy.formats.taxonomy import LabelPath
from alloy.formats.unlabeled import parse_json

LONGEST = 1_000_000  # characters of a comment: no model reads more
Cells = dict[str, Any]  # by what they hold: text, L1, ..; text, or a list of texts


class Parsed(NamedTuple):
    """What a row says: the fields of its comment, and its segments, each with its path."""

    id: str
    text: str
    fields: Row
    segments: list[dict[str, str]]
    paths: list[LabelPath]


@dataclass(frozen=True)
class RowReader:
    """Reads the rows of one file: `places` has the index or the key of each column by what it holds."""

    place: str
    places: dict[str, int | str]
    source: Source
    depth: int

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the levels."""
        return tuple(f"L{level}" for level in range(1, self.depth + 1))

    def cells(self, number: int, item: Item | list[str]) -> Cells:
        """Return the cells of a row by what they hold; what a JSON row does not have is empty."""
        if isinstance(item, list):
            return {name: item[place] for name, place in self.places.items()}  # type: ignore[call-overload]
        row = parse_row(self.place, number, item)
        identity = row.get(str(self.places.get("id")))
        if isinstance(identity, float) and isinstance(item, bytes):  # an integer of more than 64 bits
            row = parse_json(item.decode())
        return {name: _plain(row.get(str(place))) for name, place in self.places.items()}

    def parse(self, cells: Cells) -> Parsed:
        """Return what a row says; raise `ValueError` with what is wrong with it."""
        source = self.source
        text = _one(cells, "text")
        if len(text) > LONGEST:
            raise ValueError(f"the text has {len(text):,} characters (at most {LONGEST:,}); shorten it or drop the row")
        levels = [cells[name] for name in cells if name[0] == "L"]
        labels = [
            [label for one in cell for label in split_labels(one, source.label_separator)] or [""]
            if isinstance(cell, list)
            else split_labels(cell, source.label_separator)
            for cell in levels
        ]
        paths = label_paths(labels, source, self.depth)
        emotions = split_labels(_one(cells, "emotion"), source.label_separator)
        if len(emotions) not in (1, len(paths)):
            raise ValueError(f"{len(emotions)} emotions for {len(paths)} labels; write one, or one per label")
        content = _one(cells, "content")
        if content and len(paths) > 1:
            raise ValueError(f"one content for {len(paths)} labels; write one segment per row")
        segments = [
            segment_row(Segment(path, content if content.strip() else None, emotion or None), self.levels)
            for path, emotion in zip(paths, emotions * len(paths) if len(emotions) == 1 else emotions, strict=False)
        ]
        return Parsed(_one(cells, "id").strip(), text, self._fields(cells), segments, paths)

    def _fields(self, cells: Cells) -> Row:
        """Return language, split and weight, as far as the row has them."""
        fields: Row = {}
        if lang := _one(cells, "lang").strip() or self.source.lang:
            fields["lang"] = lang
        if split := _one(cells, "split").strip():
            if split.lower() not in ("train", "test"):
                raise ValueError(f"split is '{split}'; expected train, test or nothing")
            fields["split"] = split.lower()
        if weight := _one(cells, "weight").strip():
            try:
                fields["weight"] = float(weight.replace(",", "."))
            except ValueError:
                raise ValueError(f"weight is '{weight}'; expected a number such as 0.5") from None
        return fields


def made_id(place: str, number: int) -> str:
    """Return the id of a comment that has none: its file and row."""
    return f"{PurePath(place).name.partition('.')[0]}-{number}"


def comment_row(identity: str, parsed: Parsed, segments: list[dict[str, str]]) -> Row:
    """Return the canonical comment."""
    lang = {"lang": parsed.fields["lang"]} if "lang" in parsed.fields else {}
    return {"id": identity, **lang, "text": parsed.text, **parsed.fields, "segments": segments}


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, list | tuple):
        return [cell_text(one) for one in value]
    return cell_text(value)


def _one(cells: Cells, name: str) -> str:
    value = cells.get(name, "")
    if isinstance(value, list):
        raise ValueError(f"`{name}` is a list; expected one text")
    return value


def is_blank(text: str) -> bool:
    """Say whether nothing of a text can be seen."""
    return not text or (len(text) < 200 and not normalize_text(text))
