"""Rows in a file, known by number: where each stands, where it comes in an order by chance, and what kind it is."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO

import numpy as np
import orjson

from alloy.core.files import Row
from alloy.mixing.sampling_order import rank_key, spot_key
from alloy.runtime.parallel import map_blocks

COLUMNS = [
    ("start", np.int64),  # byte of the file
    ("length", np.int64),  # bytes
    ("rank", np.uint64),  # the order in which rows are taken
    ("spot", np.uint64),  # where among the others a row that is taken stands
    ("kind", np.int64),  # which of `kinds`
]
Kind = tuple[str, str, str | None]  # source, category, licence
Part = tuple[np.ndarray, list[Kind], int]  # the table of a block of lines, its kinds, its bytes


@dataclass(frozen=True)
class Pool:
    """The rows of `file`: `table` (n,) has their `COLUMNS`, `kinds` what there is."""

    file: IO[bytes]
    table: np.ndarray
    kinds: list[Kind]

    def line(self, place: int) -> bytes:
        """Return a row as it stands in the file."""
        return os.pread(self.file.fileno(), self.table["length"][place], self.table["start"][place])

    def lines(self, places: np.ndarray) -> Iterator[bytes]:
        """Yield the rows at `places` as they stand in the file, without the ends of their lines."""
        table, file = self.table[places], self.file.fileno()
        for start, length in zip(table["start"].tolist(), table["length"].tolist(), strict=True):
            yield os.pread(file, length, start).strip()

    def row(self, place: int) -> Row:
        """Return a row."""
        return orjson.loads(self.line(place))

    def ranked(self, kinds: Iterable[int]) -> np.ndarray:
        """Return the places of the rows of some kinds, in the order in which they are taken."""
        places = np.flatnonzero(np.isin(self.table["kind"], list(kinds)))
        return places[np.argsort(self.table["rank"][places], kind="stable")]


def open_pool(file: IO[bytes], seed: int) -> Pool:
    """Take up the rows of a file that is open for reading; `seed` and a row's id alone say where it comes."""
    file.seek(0)
    return gather(file, map_blocks(partial(index, seed), file))


def gather(file: IO[bytes], parts: Iterable[Part]) -> Pool:
    """Return the pool of a file of which `parts` tell, in its order; the file may be written as they come."""
    kinds: dict[Kind, int] = {}
    tables = []
    start = 0
    for table, found, size in parts:
        numbers = np.array([kinds.setdefault(kind, len(kinds)) for kind in found], np.int64)
        table["kind"] = numbers[table["kind"]]
        table["start"] += start
        start += size
        tables.append(table)
    file.flush()
    return Pool(file, np.concatenate(tables) if tables else np.empty(0, COLUMNS), list(kinds))


def index(seed: int, lines: list[bytes], rows: list[Row] | None = None) -> Part:
    """Return the table of a block of lines, its kinds, and its bytes; a blank line is no row.

    `rows` are those of the lines, where they are at hand.
    """
    kinds: dict[Kind, int] = {}
    length = np.array([len(line) for line in lines], np.int64)
    full = [number for number, line in enumerate(lines) if not line.isspace()]
    rows = rows or [orjson.loads(lines[number]) for number in full]
    table = np.empty(len(rows), COLUMNS)
    table["start"], table["length"] = (np.cumsum(length) - length)[full], length[full]
    table["rank"] = [rank_key(seed, row["id"]) for row in rows]
    table["spot"] = [spot_key(seed, row["id"]) for row in rows]
    table["kind"] = [kinds.setdefault((row["source"], row["category"], row.get("license")), len(kinds)) for row in rows]
    return table, list(kinds), int(length.sum())
