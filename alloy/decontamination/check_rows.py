"""General rows checked block by block: their form, the words they share with a test, and the key of their prompt."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alloy.core.files import InputError, Row, decode_line, join_errors
from alloy.decontamination.held_out import prompt_key
from alloy.decontamination.ngram_overlap import Hit, Index
from alloy.formats.general import check_general, count_unknown_keys


@dataclass(frozen=True)
class Checked:
    """A block of examples after the check: the `ids` of all with their lines, and their prompt keys.

    `dropped` has the report of each dropped example, by its index in the block; `unknown` the number of examples with
    each unknown key; `errors` what is wrong with lines that hold no example.
    """

    ids: list[tuple[str, int]]
    keys: list[int]
    dropped: dict[int, Row]
    unknown: Counter[str]
    errors: list[str]


def check(path: Path, index: Index, names: list[str], lines: list[tuple[int, bytes]]) -> Checked:
    """Check a block of numbered lines of the file `path`."""
    rows: list[Row] = []
    numbers: list[int] = []
    errors: list[str] = []
    unknown: Counter[str] = Counter()
    for number, line in lines:
        row = decode_line(path, number, line)
        if isinstance(row, InputError):
            errors.append(str(row))
        elif error := check_general(row):
            errors.append(f"{path}:{number}: {error}")
        else:
            rows.append(row)
            numbers.append(number)
            count_unknown_keys(row, unknown)
    said = [(place, turn["content"]) for place, row in enumerate(rows) for turn in row["messages"]]
    hits: dict[int, Hit] = {}
    for (place, _), hit in zip(said, index.hits([text for _, text in said]), strict=True):
        if hit:
            hits.setdefault(place, hit)
    return Checked(
        ids=[(row["id"], number) for number, row in zip(numbers, rows, strict=True)],
        keys=[prompt_key(row) for row in rows],
        dropped={
            place: {
                "id": rows[place]["id"],
                "source": rows[place]["source"],
                "why": hit.why,
                "test": names[hit.owner],
                "shared": hit.shared,
            }
            for place, hit in hits.items()
        },
        unknown=unknown,
        errors=errors,
    )


def collect(path: Path, blocks: Iterable[Checked]) -> tuple[npt.NDArray[np.uint64], dict[int, Row], Counter[str]]:
    """Return the prompt key of each row (rows,), the report of each dropped row by its index, counts of unknown keys.

    Bad lines and duplicate ids make one `InputError`.
    """
    seen: set[str] = set()
    errors: list[str] = []
    keys = array("Q")
    dropped: dict[int, Row] = {}
    unknown: Counter[str] = Counter()
    for block in blocks:
        for identity, number in block.ids:
            if identity in seen:
                errors.append(f"{path}:{number}: id '{identity}' stands twice; give each row its own id")
            seen.add(identity)
        errors += block.errors
        dropped |= {len(keys) + place: report for place, report in block.dropped.items()}
        keys.extend(block.keys)
        unknown.update(block.unknown)
    if errors:
        raise join_errors(errors)
    return np.frombuffer(keys, np.uint64), dropped, unknown
