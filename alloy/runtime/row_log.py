"""A log of finished rows, to which each row is appended at once: none is lost if the process is killed.

Each line holds a checksum and `[key, row]` as JSON. If a key is written again, its last row counts.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from alloy.runtime.durable import read_line, seal_line, sync_to_disk

SYNC_SECONDS = 1.0  # a power cut loses at most the rows of the last second; a killed process loses nothing
Key = int | str


class RowLog:
    """Rows by key. Only the offset of each row in the file is in memory.

    `needs_retry` returns whether a row is to be processed again by a later run that opens the log.
    """

    def __init__(self, path: Path, needs_retry: Callable[[Any], bool] | None = None, *, writes: bool = True) -> None:
        """Find the rows of an earlier run; print a line if some are damaged, and treat them as missing.

        With `writes=False` the log is only read, since another process may be writing it.
        """
        self.path = path
        self.offsets: dict[Key, int] = {}
        self.unfinished: set[Key] = set()  # keys of rows to process again
        self._needs_retry = needs_retry
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writes = writes
        self._file = path.open("a+b" if writes else "rb")
        sync_to_disk(path.parent)
        damaged = self._scan_lines()
        if damaged:
            print(f"{path}: {damaged} row(s) damaged since they were written; processing these again", file=sys.stderr)
        self._synced = time.monotonic()

    def _scan_lines(self) -> int:
        """Note the offset of each row, drop an unfinished last line, and return the number of damaged rows."""
        damaged = offset = 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                if self._writes:
                    self._file.truncate(offset)
                break
            entry = _decode_line(line)
            if entry is None:
                damaged += 1
            else:
                self._note_row(entry[0], entry[1], offset)
            offset += len(line)
        self._end = offset
        return damaged

    def _note_row(self, key: Key, row: Any, offset: int) -> None:  # noqa: ANN401 (any JSON value)
        self.offsets[key] = offset
        if self._needs_retry and self._needs_retry(row):
            self.unfinished.add(key)
        else:
            self.unfinished.discard(key)

    def needs_row(self, key: Key) -> bool:
        """Return whether a row is missing or to be processed again."""
        return key not in self.offsets or key in self.unfinished

    def read(self, key: Key) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the row of a key that is in the log, or None if it has been damaged since."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[key])
            entry = _decode_line(file.readline())
        return entry[1] if entry and entry[0] == key else None

    def write(self, key: Key, row: Any) -> None:  # noqa: ANN401 (any JSON value)
        """Append a row: it is passed to the operating system at once, and on the disk within a second."""
        line = seal_line(orjson.dumps([key, row]))
        self._file.write(line)
        self._file.flush()
        self._note_row(key, row, self._end)
        self._end += len(line)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Wait until all rows are on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Wait until all rows are on the disk, and close the file."""
        if self._writes and not self._file.closed:
            self.commit()
        self._file.close()

    def __enter__(self) -> "RowLog":
        """Return the log; it is closed at the end of the `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()


def _decode_line(line: bytes) -> tuple[Key, Any] | None:
    """Return the key and the row of a line, or None if the line is damaged."""
    content = read_line(line)
    try:
        key, row = orjson.loads(content or b"")
    except ValueError:
        return None
    return key, row
