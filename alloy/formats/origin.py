"""Where the rows of prepared comments came from, so that messages name the user's file and line.

`origin.json` lists the files in order, each with its number of prepared rows; `lines.npy` has the line of each prepared
row in its file. Without `lines.npy` the lines are the same in both files.
"""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alloy.core.files import Row, read_json, write_json

FILES, LINES = "origin.json", "lines.npy"


class Origin(NamedTuple):
    """The files in order with the prepared line that each ends with, and the line in its file of each prepared line."""

    files: list[str]
    ends: list[int]
    lines: np.ndarray | None

    def place(self, line: int) -> tuple[str, int]:
        """Return the file and the line there of a prepared line, from 1."""
        number = min(bisect_right(self.ends, line - 1), len(self.files) - 1)
        if self.lines is not None:
            return self.files[number], int(self.lines[line - 1])
        return self.files[number], line - (self.ends[number - 1] if number else 0)

    def name(self, row: Row) -> Row:
        """Return a row of a report with the user's `file` and `line` instead of the prepared line."""
        file, line = self.place(row["line"])
        return {**row, "file": file, "line": line}

    def error(self, line: int, reason: str) -> str:
        """Return an error about a prepared line, with the user's file and line."""
        file, number = self.place(line)
        return f"{file}:{number}: {reason}"


def write_origin(folder: Path, rows: dict[str, int], lines: np.ndarray | None = None) -> None:
    """Write down the files with their numbers of rows, and the line of each row where lines differ."""
    write_json(folder / FILES, [{"file": file, "rows": count} for file, count in rows.items()])
    if lines is not None:
        np.save(folder / LINES, lines.astype(np.int32))


def read_origin(comments: Path) -> Origin:
    """Return the origin of a file of comments: itself, if nothing beside it says more."""
    folder = comments.parent
    if not (folder / FILES).is_file():
        return Origin([str(comments)], [0], None)
    files = read_json(folder / FILES)
    lines = np.load(folder / LINES) if (folder / LINES).is_file() else None
    return Origin([one["file"] for one in files], list(accumulate(one["rows"] for one in files)), lines)
