"""Leave out the general examples that give a test away: those that share its words.

Reads   data/<general>/general.jsonl; data/<benchmark>/benchmark/test.jsonl; data/<instructions>/ifeval.jsonl;
        data/split/test.jsonl
Writes  data/decontaminate/general.jsonl (what is left, as it was), dropped.jsonl (each other example, with what it
        shares and with which test), metrics/decontaminate.json
Run     dvc repro decontaminate

What counts as shared: see alloy/decontamination/ngram_overlap.py.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from alloy.core.files import (
    InputError,
    Row,
    decode_line,
    number_lines,
    write_json,
    write_jsonl,
    write_lines,
)
from alloy.core.settings import Data, load_sections
from alloy.core.stage import run
from alloy.decontamination.ngram_overlap import Hit, Index, Limits
from alloy.decontamination.read_tests import read_tests
from alloy.decontamination.settings import Decontaminate
from alloy.formats.general import check_general, count_unknown_keys, unknown_key_warnings
from alloy.runtime.parallel import over_blocks

OUT = Path("data/decontaminate")


@dataclass(frozen=True)
class Checked:
    """What became of a block of examples: the `ids` of all with their lines, the lines `kept`, the rows `dropped`.

    `unknown` has the number of examples with each unknown key.
    """

    ids: list[tuple[str, int]]
    kept: list[bytes]
    dropped: list[Row]
    unknown: Counter[str]


def check(path: Path, index: Index, names: list[str], lines: list[tuple[int, bytes]]) -> Checked:
    """Part a block of numbered lines of the file `path`; an example with a fault raises."""
    rows = []
    unknown: Counter[str] = Counter()
    for number, line in lines:
        row = decode_line(path, number, line)
        if isinstance(row, InputError):
            raise row
        if fault := check_general(row):
            raise InputError(f"{path}:{number}: {fault}")
        rows.append(row)
        count_unknown_keys(row, unknown)
    said = [(place, turn["content"]) for place, row in enumerate(rows) for turn in row["messages"]]
    hits: dict[int, Hit] = {}
    for (place, _), hit in zip(said, index.hits([text for _, text in said]), strict=True):
        if hit:
            hits.setdefault(place, hit)
    return Checked(
        ids=[(row["id"], number) for (number, _), row in zip(lines, rows, strict=True)],
        kept=[line.strip() for place, (_, line) in enumerate(lines) if place not in hits],
        dropped=[
            {
                "id": rows[place]["id"],
                "source": rows[place]["source"],
                "why": hit.why,
                "test": names[hit.owner],
                "shared": hit.shared,
            }
            for place, hit in hits.items()
        ],
        unknown=unknown,
    )


def clean(
    path: Path, blocks: Iterator[Checked], seen: set[str], dropped: list[Row], unknown: Counter[str]
) -> Iterator[bytes]:
    """Yield the lines that are kept; fill `seen` with all ids, `dropped`, `unknown`. An id that comes again raises."""
    for block in blocks:
        for identity, number in block.ids:
            if identity in seen:
                raise InputError(f"{path}:{number}: id '{identity}' stands twice; give each row its own id")
            seen.add(identity)
        dropped += block.dropped
        unknown.update(block.unknown)
        yield from block.kept


def main() -> None:
    """Read the tests, part the examples, write."""
    from tqdm import tqdm

    data, decontaminate = load_sections(Data, Decontaminate)
    path = Path("data") / data.general / "general.jsonl"
    tests = read_tests(
        Path("data") / data.benchmark / "benchmark",
        Path("data") / data.instructions / "ifeval.jsonl",
        Path("data/split/test.jsonl"),
    )
    limits = Limits(decontaminate.run, decontaminate.changed)
    index = Index.of(tests.questions, tests.others, limits)
    seen: set[str] = set()
    dropped: list[Row] = []
    unknown: Counter[str] = Counter()
    with tqdm(number_lines(path), unit=" rows", desc="decontaminate", disable=None, dynamic_ncols=True) as lines:
        blocks = over_blocks(partial(check, path, index, tests.names), lines)
        write_lines(OUT / "general.jsonl", clean(path, blocks, seen, dropped, unknown))
    write_jsonl(OUT / "dropped.jsonl", dropped)
    report = {
        "rows": len(seen),
        "dropped": len(dropped),
        "why": dict(sorted(Counter(row["why"] for row in dropped).items())),
        "source": dict(sorted(Counter(row["source"] for row in dropped).items())),
    }
    write_json("metrics/decontaminate.json", {"decontaminate": report})
    print(
        f"decontaminate: {len(seen) - len(dropped)} general rows; {len(dropped)} dropped that share words with a test"
    )
    for warning in tests.warnings + unknown_key_warnings(path, unknown):
        print(f"decontaminate: {warning}")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    run(main)
