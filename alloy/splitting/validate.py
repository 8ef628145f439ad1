"""What there is to know of a file of comments before it is split: each row checked once, and kept as it is written."""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import orjson

from alloy.core.files import InputError, Row, decode_line
from alloy.core.text import fold_text, text_key
from alloy.core.unknown_keys import find_unknown_keys
from alloy.formats.comments import KEYS, Comment, parse_comment
from alloy.formats.taxonomy import Taxonomy
from alloy.splitting.assignment import SIDES, copies
from alloy.splitting.near_duplicates import PERMUTATIONS, halves, signatures

COLUMNS = [
    ("line", np.int64),  # of the file
    ("id", np.uint64),  # hash of the id
    ("key", np.uint64),  # hash of the folded text
    ("given", np.int8),  # the side that the comment names
    ("labels", np.uint64),  # hash of the labels and emotions of its segments, in any order
    ("content", np.bool_),  # whether any of its segments carries its text
    ("quoted", np.bool_),  # whether the contents of all its segments stand in its text
    ("signature", np.uint32, PERMUTATIONS),  # what texts that are nearly the same are found by
    ("halves", np.uint64, 2),  # and this, where they are short
]

KNOWN = frozenset(KEYS)


@dataclass
class Survey:
    """The good comments of a file, or of a block of it, in its order.

    `rows` are canonical lines, `leaves` the numbers of their segments' leaves, `emotions` what they have of these,
    `table` (n,) their `COLUMNS`. `rejects` has `{file, line, reason}` of each bad line, `unknown` the number of rows
    with each unknown key.
    """

    rows: list[bytes]
    leaves: list[tuple[int, ...]]
    emotions: list[tuple[str, ...]]
    table: np.ndarray
    rejects: list[Row]
    unknown: Counter[str]

    def id(self, place: int) -> str:
        """Return the id of a comment."""
        return orjson.loads(self.rows[place])["id"]

    def text(self, place: int) -> str:
        """Return the folded text of a comment."""
        return fold_text(orjson.loads(self.rows[place])["text"])

    def emotion_counts(self) -> Counter[str]:
        """Return the number of segments with each emotion."""
        return Counter(chain.from_iterable(self.emotions))

    def task(self, taxonomy: Taxonomy) -> Row:
        """Return what the data defines: levels, whether segments carry their text, emotions, the most segments."""
        return {
            "levels": list(taxonomy.levels),
            "leaves": len(taxonomy.leaves),
            "has_content": bool(self.table["content"].any()),
            "emotions": sorted(self.emotion_counts()),
            "most_segments": max(map(len, self.leaves), default=0),
        }


def examine(path: Path, taxonomy: Taxonomy, lines: list[tuple[int, bytes]]) -> Survey:
    """Return the survey of a block of numbered lines of the file `path`."""
    comments: list[Comment] = []
    numbers: list[int] = []
    rejects: list[Row] = []
    unknown: Counter[str] = Counter()
    for number, line in lines:
        row = decode_line(path, number, line)
        try:
            if isinstance(row, InputError):
                raise ValueError(str(row).removeprefix(f"{path}:{number}: "))
            comments.append(parse_comment(row, taxonomy))
            numbers.append(number)
            unknown.update(find_unknown_keys(row, KNOWN))
        except ValueError as fault:
            rejects.append({"file": str(path), "line": number, "reason": str(fault)})
    texts = [fold_text(comment.text) for comment in comments]
    table = np.empty(len(comments), COLUMNS)
    table["line"] = numbers
    table["id"] = [text_key(comment.id) for comment in comments]
    table["key"] = [text_key(text) for text in texts]
    table["given"] = [SIDES[comment.split] for comment in comments]
    table["labels"] = [text_key(_labels(comment)) for comment in comments]
    table["content"] = [any(segment.content is not None for segment in comment.segments) for comment in comments]
    table["quoted"] = [_quoted(comment, text) for comment, text in zip(comments, texts, strict=True)]
    table["signature"] = signatures(texts)
    table["halves"] = halves(texts)
    leaf = {path: number for number, path in enumerate(taxonomy.leaves)}
    return Survey(
        rows=[orjson.dumps(comment.to_row(taxonomy.levels)) for comment in comments],
        leaves=[tuple(leaf[segment.path] for segment in comment.segments) for comment in comments],
        emotions=[_emotions(comment) for comment in comments],
        table=table,
        rejects=rejects,
        unknown=unknown,
    )


def _labels(comment: Comment) -> str:
    """Return the same text for the same labels and emotions, in whatever order."""
    return "\n".join(sorted("\t".join((*segment.path, segment.emotion or "")) for segment in comment.segments))


def _emotions(comment: Comment) -> tuple[str, ...]:
    return tuple(sys.intern(segment.emotion) for segment in comment.segments if segment.emotion is not None)


def _quoted(comment: Comment, text: str) -> bool:
    return all(segment.content is None or fold_text(segment.content) in text for segment in comment.segments)


def gather(path: Path, blocks: Iterable[Survey]) -> Survey:
    """Return the survey of a whole file from those of its blocks; an id that stood before is a fault of its line."""
    parts = list(blocks)
    table = np.concatenate([part.table for part in parts])
    rows = [row for part in parts for row in part.rows]
    leaves = [numbers for part in parts for numbers in part.leaves]
    emotions = [said for part in parts for said in part.emotions]
    rejects = [row for part in parts for row in part.rejects]
    again, first = copies(table["id"])
    for before, place in again.tolist():
        identity = orjson.loads(rows[place])["id"]
        reason = f"id '{identity}' stands already in line {table['line'][before]}; give each its own id"
        rejects.append({"file": str(path), "line": int(table["line"][place]), "reason": reason})
    return Survey(
        rows=[rows[place] for place in first.tolist()],
        leaves=[leaves[place] for place in first.tolist()],
        emotions=[emotions[place] for place in first.tolist()],
        table=table[first],
        rejects=sorted(rejects, key=lambda reject: reject["line"]),
        unknown=sum((part.unknown for part in parts), Counter()),
    )
