"""The source file and line of each prepared row, so that messages name the user's file.

`origin.json` lists the source files in order, each with its number of prepared rows. `lines.npy` has the line of each
prepared row in its source file. Without `lines.npy`, row n of a source file is line n there.
"""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alloy.core.files import Row, read_json, write_json

FILES, LINES = "origin.json", "lines.npy"


class Origin(NamedTuple):
    """Source `files` in order, the last prepared line of each (`ends`), and the source line of each prepared line."""

    files: list[str]
    ends: list[int]
    lines: np.ndarray | None

    def locate_line(self, line: int) -> tuple[str, int]:
        """Return the source file and the line in it of a prepared line; lines count from 1."""
        index = min(bisect_right(self.ends, line - 1), len(self.files) - 1)
        if self.lines is not None:
            return self.files[index], int(self.lines[line - 1])
        return self.files[index], line - (self.ends[index - 1] if index else 0)

    def name_source(self, row: Row) -> Row:
        """Return a row of a report with source `file` and `line` instead of the prepared ones."""
        file, line = self.locate_line(row["line"])
        return {**row, "file": file, "line": line}

    def format_error(self, line: int, reason: str) -> str:
        """Return the message `file:line: reason` about a prepared line, with its source file and line."""
        file, number = self.locate_line(line)
        return f"{file}:{number}: {reason}"


def write_origin(folder: Path, rows: dict[str, int], lines: np.ndarray | None = None) -> None:
    """Write the source files with their numbers of rows and, if needed, the source line of each row."""
    write_json(folder / FILES, [{"file": file, "rows": count} for file, count in rows.items()])
    if lines is not None:
        np.save(folder / LINES, lines.astype(np.int32))


def read_origin(prepared: Path) -> Origin:
    """Return the origin of a file of prepared rows; without an origin.json in its folder, it is its own source."""
    folder = prepared.parent
    if not (folder / FILES).is_file():
        return Origin([str(prepared)], [0], None)
    files = read_json(folder / FILES)
    lines = np.load(folder / LINES) if (folder / LINES).is_file() else None
    return Origin([entry["file"] for entry in files], list(accumulate(entry["rows"] for entry in files)), lines)
