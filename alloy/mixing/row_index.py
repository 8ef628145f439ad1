"""An index of the rows of a JSON Lines file: byte offsets, the random order of sampling, and the kind of each row.

Rows stay in the file and are read by their index, so that a million rows need little memory.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, NamedTuple

import numpy as np
import orjson

from alloy.core.files import Row
from alloy.mixing.sampling_order import compute_position, compute_rank
from alloy.runtime.parallel import map_blocks

COLUMNS = [
    ("start", np.int64),  # byte offset in the file
    ("length", np.int64),  # bytes
    ("rank", np.uint64),  # sampling order: rows with the lowest ranks are taken first
    ("position", np.uint64),  # position of a sampled row in the mix, among the others
    ("kind", np.int64),  # index into `kinds`
]


class RowKind(NamedTuple):
    """What rows of one kind have in common."""

    source: str
    category: str
    license: str | None


IndexedBlock = tuple[np.ndarray, list[RowKind], int]  # table, kinds and number of bytes of a block of lines


@dataclass(frozen=True)
class RowIndex:
    """The rows of `file`: `table` (rows,) has the `COLUMNS` of each row, `kinds` lists the kinds of rows."""

    file: IO[bytes]
    table: np.ndarray
    kinds: list[RowKind]

    def read_line(self, index: int) -> bytes:
        """Return the bytes of a row, with its line end."""
        return os.pread(self.file.fileno(), self.table["length"][index], self.table["start"][index])

    def read_lines(self, indices: np.ndarray) -> Iterator[bytes]:
        """Yield the bytes of the rows, without line ends."""
        table, file = self.table[indices], self.file.fileno()
        for start, length in zip(table["start"].tolist(), table["length"].tolist(), strict=True):
            yield os.pread(file, length, start).strip()

    def read_row(self, index: int) -> Row:
        """Return a row, parsed."""
        return orjson.loads(self.read_line(index))

    def list_in_order(self, kinds: Iterable[int]) -> np.ndarray:
        """Return the indices of the rows of these kinds, in sampling order."""
        indices = np.flatnonzero(np.isin(self.table["kind"], list(kinds)))
        return indices[np.argsort(self.table["rank"][indices], kind="stable")]


def open_row_index(file: IO[bytes], seed: int) -> RowIndex:
    """Return the index of an open JSON Lines file; only `seed` and the ids decide the sampling order."""
    file.seek(0)
    return merge_blocks(file, map_blocks(partial(index_block, seed), file))


def merge_blocks(file: IO[bytes], blocks: Iterable[IndexedBlock]) -> RowIndex:
    """Return the index of a file from the indexed blocks of its lines, in order.

    The generator of the blocks may write the file while it yields them.
    """
    kinds: dict[RowKind, int] = {}
    tables = []
    start = 0
    for table, block_kinds, size in blocks:
        merged = np.array([kinds.setdefault(kind, len(kinds)) for kind in block_kinds], np.int64)
        table["kind"] = merged[table["kind"]]
        table["start"] += start
        start += size
        tables.append(table)
    file.flush()
    return RowIndex(file, np.concatenate(tables) if tables else np.empty(0, COLUMNS), list(kinds))


def index_block(seed: int, lines: list[bytes], rows: list[Row] | None = None) -> IndexedBlock:
    """Return the table, the kinds and the number of bytes of a block of lines. Blank lines are not rows.

    `rows` are the parsed lines, if the caller has them already.
    """
    kinds: dict[RowKind, int] = {}
    length = np.array([len(line) for line in lines], np.int64)
    filled = [index for index, line in enumerate(lines) if not line.isspace()]
    rows = rows or [orjson.loads(lines[index]) for index in filled]
    table = np.empty(len(rows), COLUMNS)
    table["start"], table["length"] = (np.cumsum(length) - length)[filled], length[filled]
    table["rank"] = [compute_rank(seed, row["id"]) for row in rows]
    table["position"] = [compute_position(seed, row["id"]) for row in rows]
    row_kinds = [RowKind(row["source"], row["category"], row.get("license")) for row in rows]
    table["kind"] = [kinds.setdefault(kind, len(kinds)) for kind in row_kinds]
    return table, list(kinds), int(length.sum())
