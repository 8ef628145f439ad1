"""Rows kept one by one as they are done, in a file that only grows: a kill loses none of them.

Each line holds a checksum and `[key, row]` as JSON. A row that is written again replaces the one before.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from alloy.runtime.durable import read_line, seal_line, sync

SYNC_SECONDS = 1.0  # a power cut loses at most the rows of so long; a kill loses nothing
Key = int | str


class RowLog:
    """Rows by key; in memory is only where each one is.

    `again` says of a row that it is to be done again by a run that opens the log later.
    """

    def __init__(self, path: Path, again: Callable[[Any], bool] | None = None, *, writes: bool = True) -> None:
        """Find the rows that are there; say in one line if some are damaged, which are then missing.

        With `writes=False` the log is only read: another process may be writing it.
        """
        self.path = path
        self.places: dict[Key, int] = {}
        self.unfinished: set[Key] = set()  # rows to do again
        self._again = again
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writes = writes
        self._file = path.open("a+b" if writes else "rb")
        sync(path.parent)
        damaged = self._scan()
        if damaged:
            print(f"{path}: {damaged} row(s) damaged since they were written; doing these again", file=sys.stderr)
        self._synced = time.monotonic()

    def _scan(self) -> int:
        """Note the place of each row, drop a last line that was being written, and return how many are damaged."""
        damaged = place = 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                if self._writes:
                    self._file.truncate(place)
                break
            found = _decode(line)
            if found is None:
                damaged += 1
            else:
                self._note(found[0], found[1], place)
            place += len(line)
        self._end = place
        return damaged

    def _note(self, key: Key, row: Any, place: int) -> None:  # noqa: ANN401 (whatever was written)
        self.places[key] = place
        if self._again and self._again(row):
            self.unfinished.add(key)
        else:
            self.unfinished.discard(key)

    def lacks(self, key: Key) -> bool:
        """Return whether a row is missing or to be done again."""
        return key not in self.places or key in self.unfinished

    def read(self, key: Key) -> Any:  # noqa: ANN401 (whatever was written)
        """Return a row that is there; None if it has been damaged since."""
        with self.path.open("rb") as file:
            file.seek(self.places[key])
            found = _decode(file.readline())
        return found[1] if found and found[0] == key else None

    def write(self, key: Key, row: Any) -> None:  # noqa: ANN401 (anything that JSON can hold)
        """Keep a row: at once in the system's hands, and on the disk within a second."""
        line = seal_line(orjson.dumps([key, row]))
        self._file.write(line)
        self._file.flush()
        self._note(key, row, self._end)
        self._end += len(line)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Wait until all rows are on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file; all rows are on the disk then."""
        if self._writes and not self._file.closed:
            self.commit()
        self._file.close()

    def __enter__(self) -> "RowLog":
        """Return the log, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()


def _decode(line: bytes) -> tuple[Key, Any] | None:
    """Return (key, row) of a line; None if it is damaged."""
    content = read_line(line)
    try:
        key, row = orjson.loads(content or b"")
    except ValueError:
        return None
    return key, row
