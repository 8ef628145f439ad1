"""Leave out the general examples that give a test away: those that share its words. Hold out some for the general loss.

Reads   data/prepared/general/general.jsonl, benchmark/test.jsonl, instructions/ifeval.jsonl; data/split/test.jsonl;
        models/base (its chat template)
Writes  data/decontaminate/general.jsonl (what may be mixed, as it was), heldout.jsonl (rows for the stage
        `general_loss`, which are in no mix), dropped.jsonl (each example that shares words, with what it shares and
        with which test), rejected.jsonl (each bad one, with its file, its line and the reason; those that `prepare`
        left out, too), metrics/decontaminate.json
Run     dvc repro decontaminate

Bad examples, which are malformed or which the chat template refuses, stop the stage, or are left out and counted by
`general_rows.on_bad_row`. What counts as shared: see alloy/decontamination/ngram_overlap.py. Which rows are held out:
held_out.py beside it.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alloy.core.files import (
    Row,
    number_lines,
    read_jsonl,
    write_json,
    write_jsonl,
    write_lines,
)
from alloy.core.settings import GeneralRows, load_sections
from alloy.core.stage import run
from alloy.decontamination.check_rows import check_block, collect_blocks
from alloy.decontamination.held_out import hold_out
from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
from alloy.decontamination.read_tests import read_tests
from alloy.decontamination.settings import Decontaminate
from alloy.formats.general import REJECTED, unknown_key_warnings
from alloy.modeling.model_folder import load_tokenizer, read_hosted_name
from alloy.runtime.parallel import map_blocks

OUT = Path("data/decontaminate")
BASE = Path("models/base")


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


def _rejected_before(path: Path) -> list[Row]:
    """Return the reports of the bad rows that the stage `prepare` left out."""
    reports = path.with_name(REJECTED)
    return read_jsonl(reports) if reports.is_file() else []


def main() -> None:
    """Read the tests, check the examples, hold some out, write."""
    from tqdm import tqdm

    decontaminate, general_rows = load_sections(Decontaminate, GeneralRows)
    path = Path("data/prepared/general/general.jsonl")
    tests = read_tests(
        Path("data/prepared/benchmark"),
        Path("data/prepared/instructions/ifeval.jsonl"),
        Path("data/split/test.jsonl"),
    )
    limits = Limits(decontaminate.run, decontaminate.changed)
    index = OverlapIndex.from_texts(tests.questions, tests.others, limits)
    tokenizer = None if read_hosted_name(BASE) else load_tokenizer(BASE)
    with tqdm(number_lines(path), unit=" rows", desc="decontaminate", disable=None, dynamic_ncols=True) as lines:
        blocks = map_blocks(partial(check_block, path, index, tests.names), lines)
        found = collect_blocks(path, blocks, tokenizer, general_rows.on_bad_row)
    keys, dropped, rejected = found.keys, found.dropped, found.rejected
    clean = np.delete(np.arange(len(keys)), [*dropped, *rejected])
    chosen, stays = hold_out(keys[clean], decontaminate.held_out)
    mixable = np.zeros(len(keys), np.bool_)
    mixable[clean] = stays
    publish(path, mixable, clean[chosen].tolist())
    write_jsonl(OUT / "dropped.jsonl", dropped.values())
    left_out = [*_rejected_before(path), *rejected.values()]
    write_jsonl(OUT / "rejected.jsonl", left_out)
    report = {
        "rows": len(keys) + len(left_out) - len(rejected),
        "rejected": len(left_out),
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
    if left_out:
        first = left_out[0]
        print(
            f"decontaminate: {len(left_out)} bad general rows left out ({OUT}/rejected.jsonl), the first is "
            f"{first['file']}:{first['line']}: {first['reason']}"
        )
    for warning in tests.warnings + unknown_key_warnings(path, found.unknown):
        print(f"decontaminate: {warning}")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    run(main)
