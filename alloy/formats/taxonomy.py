"""The taxonomy: a closed tree of labels, kept as its paths from the first level to the leaf."""

import csv
import difflib
import io
from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError

LabelPath = tuple[str, ...]
SEPARATOR = " > "


@dataclass(frozen=True)
class Taxonomy:
    """Leaf paths with their descriptions, in file order; every path has one label for each of `levels`."""

    levels: tuple[str, ...]
    leaves: dict[LabelPath, str]

    def check(self, path: LabelPath) -> None:
        """Raise `ValueError` with the nearest known path unless `path` is a leaf."""
        if path not in self.leaves:
            near = difflib.get_close_matches(show(path), map(show, self.leaves), n=1, cutoff=0.6)
            hint = f" (did you mean '{near[0]}'?)" if near else "; add it there or correct the label"
            raise ValueError(f"label '{show(path)}' is not in the taxonomy{hint}")

    def to_rows(self) -> list[dict[str, str]]:
        """Return one `{L1..Ln, description}` a leaf."""
        return [
            {**dict(zip(self.levels, path, strict=True)), "description": description}
            for path, description in self.leaves.items()
        ]

    @classmethod
    def from_rows(cls, rows: list[dict[str, str]]) -> "Taxonomy":
        """Undo `to_rows`."""
        levels = tuple(key for key in rows[0] if key != "description")
        return cls(levels, {tuple(row[level] for level in levels): row["description"] for row in rows})


def show(path: LabelPath) -> str:
    """Return `path` as a person reads it: `Setup > Pairing > Bluetooth`."""
    return SEPARATOR.join(path)


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read a CSV with columns `L1..Ln, description`, of any depth n from 1."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; write a CSV with columns L1,L2,..,description") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; write a CSV file with columns L1,L2,..,description") from None
    except UnicodeDecodeError as fault:
        before = fault.object[: fault.start]
        line, byte = before.count(b"\n") + 1, fault.start - before.rfind(b"\n")
        raise InputError(f"{path}:{line}: byte {byte} is not UTF-8; save the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        levels = _levels(path, header)
        leaves: dict[LabelPath, str] = {}
        lines: dict[LabelPath, int] = {}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            leaf, description = _leaf(path, reader.line_num, header, levels, cells)
            if leaf in leaves:
                raise InputError(
                    f"{path}:{reader.line_num}: path '{show(leaf)}' stands already in line {lines[leaf]}; drop one"
                )
            leaves[leaf] = description
            lines[leaf] = reader.line_num
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({error}); quote cells that hold commas") from None
    if not leaves:
        raise InputError(f"{path}: the taxonomy has no rows; write one leaf a line")
    return Taxonomy(levels, leaves)


def _levels(path: Path, header: list[str]) -> tuple[str, ...]:
    levels = tuple(name for name in header if name != "description")
    wanted = tuple(f"L{depth}" for depth in range(1, len(levels) + 1))
    if not levels or levels != wanted or header.count("description") > 1:
        raise InputError(f"{path}:1: columns are '{','.join(header)}'; name them L1,L2,..,description")
    return levels


def _leaf(path: Path, line: int, header: list[str], levels: tuple[str, ...], cells: list[str]) -> tuple[LabelPath, str]:
    if len(cells) != len(header):
        mend = "quote cells that hold commas" if len(cells) > len(header) else "add what is missing"
        raise InputError(f"{path}:{line}: {len(cells)} cells under {len(header)} columns; {mend}")
    row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    if missing := [level for level in levels if not row[level]]:
        raise InputError(f"{path}:{line}: {missing[0]} is empty; write (none) where a level does not apply")
    return tuple(row[level] for level in levels), row.get("description", "")
