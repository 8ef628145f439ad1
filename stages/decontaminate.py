"""Leave out the general examples that give a test away: those that share its words. Hold out some for the general loss.

Reads   data/prepared/general/general.jsonl, benchmark/test.jsonl, instructions/ifeval.jsonl; data/split/test.jsonl
Writes  data/decontaminate/general.jsonl (what may be mixed, as it was), heldout.jsonl (rows for the stage
        `general_loss`, which are in no mix), dropped.jsonl (each other example, with what it shares and with which
        test), metrics/decontaminate.json
Run     dvc repro decontaminate

What counts as shared: see alloy/decontamination/ngram_overlap.py. Which rows are held out: held_out.py beside it.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alloy.core.files import (
    number_lines,
    write_json,
    write_jsonl,
    write_lines,
)
from alloy.core.stage import run
from alloy.decontamination.check_rows import check, collect
from alloy.decontamination.held_out import hold_out
from alloy.decontamination.ngram_overlap import Index, Limits
from alloy.decontamination.read_tests import read_tests
from alloy.decontamination.settings import Decontaminate
from alloy.formats.general import unknown_key_warnings
from alloy.runtime.parallel import over_blocks

OUT = Path("data/decontaminate")


def publish(path: Path, mixable: npt.NDArray[np.bool_], held: list[int]) -> None:
    """Copy the rows of `path` that are `mixable` (rows,) to general.jsonl, and those `held` (indices) to heldout.jsonl.

    The file is read a second time, so that it is never in memory.
    """
    lines: dict[int, bytes] = dict.fromkeys(held, b"")

    def kept() -> Iterator[bytes]:
        for place, (_, line) in enumerate(number_lines(path)):
            if mixable[place]:
                yield line.strip()
            elif place in lines:
                lines[place] = line.strip()

    write_lines(OUT / "general.jsonl", kept())
    write_lines(OUT / "heldout.jsonl", lines.values() or [b""])  # DVC would warn of a file without a byte


def main() -> None:
    """Read the tests, check the examples, hold some out, write."""
    from tqdm import tqdm

    decontaminate = Decontaminate.load()
    path = Path("data/prepared/general/general.jsonl")
    tests = read_tests(
        Path("data/prepared/benchmark"),
        Path("data/prepared/instructions/ifeval.jsonl"),
        Path("data/split/test.jsonl"),
    )
    limits = Limits(decontaminate.run, decontaminate.changed)
    index = Index.of(tests.questions, tests.others, limits)
    with tqdm(number_lines(path), unit=" rows", desc="decontaminate", disable=None, dynamic_ncols=True) as lines:
        keys, dropped, unknown = collect(path, over_blocks(partial(check, path, index, tests.names), lines))
    clean = np.delete(np.arange(len(keys)), list(dropped))
    chosen, stays = hold_out(keys[clean], decontaminate.held_out)
    mixable = np.zeros(len(keys), np.bool_)
    mixable[clean] = stays
    publish(path, mixable, clean[chosen].tolist())
    write_jsonl(OUT / "dropped.jsonl", dropped.values())
    report = {
        "rows": len(keys),
        "dropped": len(dropped),
        "held_out": len(chosen),
        "same_prompt": len(clean) - len(chosen) - int(mixable.sum()),
        "why": dict(sorted(Counter(row["why"] for row in dropped.values()).items())),
        "source": dict(sorted(Counter(row["source"] for row in dropped.values()).items())),
    }
    write_json("metrics/decontaminate.json", {"decontaminate": report})
    print(
        f"decontaminate: {mixable.sum()} general rows; {len(dropped)} dropped that share words with a test, "
        f"{len(chosen)} held out"
    )
    for warning in tests.warnings + unknown_key_warnings(path, unknown):
        print(f"decontaminate: {warning}")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    run(main)
