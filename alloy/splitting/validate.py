"""Check every row of a file of labeled comments once, and keep the values that the split needs."""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import orjson

from alloy.core.files import InputError, Row, decode_line
from alloy.core.text import fold_text, hash_to_uint64
from alloy.core.unknown_keys import find_unknown_keys
from alloy.formats.comments import KEYS, Comment, parse_comment
from alloy.formats.taxonomy import Taxonomy
from alloy.splitting.assignment import SUBSETS, find_copies
from alloy.splitting.near_duplicates import PERMUTATIONS, compute_minhash_signatures, hash_halves

COLUMNS = [
    ("line", np.int64),  # in the file, from 1
    ("id", np.uint64),  # hash of the id
    ("key", np.uint64),  # hash of the folded text
    ("given_subset", np.int8),  # by the comment's `split`, or `FREE`
    ("labels", np.uint64),  # hash of the labels and emotions of its segments, in any order
    ("content", np.bool_),  # whether any of its segments has a `content`
    ("quoted", np.bool_),  # whether its text contains the `content` of each of its segments
    ("repeats", np.bool_),  # whether it has the same segment twice
    ("signature", np.uint32, PERMUTATIONS),  # MinHash signature, by which near-duplicates are found
    ("halves", np.uint64, 2),  # hashes of the two halves of its words, for near-duplicates that differ in one word
]

KNOWN_KEYS = frozenset(KEYS)


@dataclass
class CheckedComments:
    """The valid comments of a file, or of a block of lines, in file order, and its bad rows.

    `rows` has the comments as canonical JSON lines, `leaves` the leaf indices of their segments, and `emotions` the
    emotions of their segments. `table` is a structured array (n,) with the columns `COLUMNS`. `rejects` has
    `{file, line, reason}` of each bad row, and `unknown` the number of rows with each unknown key.
    """

    rows: list[bytes]
    leaves: list[tuple[int, ...]]
    emotions: list[tuple[str, ...]]
    table: np.ndarray
    rejects: list[Row]
    unknown: Counter[str]

    def read_id(self, index: int) -> str:
        """Return the id of a comment."""
        return orjson.loads(self.rows[index])["id"]

    def read_folded_text(self, index: int) -> str:
        """Return the text of a comment as `fold_text` returns it."""
        return fold_text(orjson.loads(self.rows[index])["text"])

    def count_emotions(self) -> Counter[str]:
        """Return the number of segments with each emotion, in the order of the emotions' first comments."""
        return Counter(chain.from_iterable(self.emotions))

    def find_emotion(self, emotion: str) -> str:
        """Return the id of the first comment with an emotion."""
        return self.read_id(next(index for index, names in enumerate(self.emotions) if emotion in names))

    def describe_task(self, taxonomy: Taxonomy) -> Row:
        """Return the task that the data defines: levels, emotions, whether segments have a `content`, and sizes."""
        return {
            "levels": list(taxonomy.levels),
            "leaves": len(taxonomy.leaves),
            "has_content": bool(self.table["content"].any()),
            "emotions": sorted(self.count_emotions()),
            "most_segments": max(map(len, self.leaves), default=0),
        }


def check_block(path: Path, taxonomy: Taxonomy, lines: list[tuple[int, bytes]]) -> CheckedComments:
    """Check a block of numbered lines of the file `path`; a bad row becomes one of the `rejects`."""
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
            unknown.update(find_unknown_keys(row, KNOWN_KEYS))
        except ValueError as error:
            rejects.append({"file": str(path), "line": number, "reason": str(error)})
    texts = [fold_text(comment.text) for comment in comments]
    table = np.empty(len(comments), COLUMNS)
    table["line"] = numbers
    table["id"] = [hash_to_uint64(comment.id) for comment in comments]
    table["key"] = [hash_to_uint64(text) for text in texts]
    table["given_subset"] = [SUBSETS[comment.split] for comment in comments]
    table["labels"] = [hash_to_uint64(_make_label_key(comment)) for comment in comments]
    table["content"] = [any(segment.content is not None for segment in comment.segments) for comment in comments]
    table["quoted"] = [_are_contents_in_text(comment, text) for comment, text in zip(comments, texts, strict=True)]
    table["repeats"] = [len(set(comment.segments)) < len(comment.segments) for comment in comments]
    table["signature"] = compute_minhash_signatures(texts)
    table["halves"] = hash_halves(texts)
    leaf_index = {path: index for index, path in enumerate(taxonomy.leaves)}
    return CheckedComments(
        rows=[orjson.dumps(comment.to_row(taxonomy.levels)) for comment in comments],
        leaves=[tuple(leaf_index[segment.path] for segment in comment.segments) for comment in comments],
        emotions=[_list_emotions(comment) for comment in comments],
        table=table,
        rejects=rejects,
        unknown=unknown,
    )


def _make_label_key(comment: Comment) -> str:
    """Return a text that is the same for comments with the same labels and emotions, in any order."""
    return "\n".join(sorted("\t".join((*segment.path, segment.emotion or "")) for segment in comment.segments))


def _list_emotions(comment: Comment) -> tuple[str, ...]:
    return tuple(sys.intern(segment.emotion) for segment in comment.segments if segment.emotion is not None)


def _are_contents_in_text(comment: Comment, text: str) -> bool:
    """Return whether the folded `text` contains the `content` of each segment that has one."""
    return all(segment.content is None or fold_text(segment.content) in text for segment in comment.segments)


def join_blocks(path: Path, blocks: Iterable[CheckedComments]) -> CheckedComments:
    """Join the checked blocks of the file `path`; of comments with the same id, all but the first become rejects."""
    parts = list(blocks)
    table = np.concatenate([part.table for part in parts])
    rows = [row for part in parts for row in part.rows]
    leaves = [indices for part in parts for indices in part.leaves]
    emotions = [names for part in parts for names in part.emotions]
    rejects = [row for part in parts for row in part.rejects]
    duplicates, unique = find_copies(table["id"])
    for first, index in duplicates.tolist():
        identity = orjson.loads(rows[index])["id"]
        reason = f"duplicate id '{identity}' (first used on line {table['line'][first]}); ids must be unique"
        rejects.append({"file": str(path), "line": int(table["line"][index]), "reason": reason})
    return CheckedComments(
        rows=[rows[index] for index in unique.tolist()],
        leaves=[leaves[index] for index in unique.tolist()],
        emotions=[emotions[index] for index in unique.tolist()],
        table=table[unique],
        rejects=sorted(rejects, key=lambda reject: reject["line"]),
        unknown=sum((part.unknown for part in parts), Counter()),
    )
