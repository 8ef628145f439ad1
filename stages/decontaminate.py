"""Drop general examples that share text with a test, and hold out some others for the general loss.

Reads   data/prepared/general/general.jsonl, benchmark/test.jsonl, instructions/ifeval.jsonl; data/split/test.jsonl;
        models/base (its chat template)
Writes  data/decontaminate/general.jsonl (rows that may be mixed, unchanged), heldout.jsonl (rows for the stage
        `general_loss`, never mixed), dropped.jsonl (each dropped example, the shared text and the test),
        rejected.jsonl (each bad example with file, line and reason, including those that `prepare` left out),
        metrics/decontaminate.json
Run     dvc repro decontaminate

Examples that are malformed, or that the chat template cannot render, stop the stage or are left out and counted, as set
by `general_rows.on_bad_row`. alloy/decontamination/ngram_overlap.py defines what counts as shared text, and
alloy/decontamination/held_out.py which rows are held out.
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
from alloy.formats.general import REJECTED, make_unknown_key_warnings
from alloy.modeling.answer_markup import compile_control_tokens
from alloy.modeling.model_folder import load_tokenizer, read_hosted_name
from alloy.runtime.parallel import map_blocks

OUT = Path("data/decontaminate")
BASE = Path("models/base")


def write_rows(path: Path, mixable: npt.NDArray[np.bool_], held_out: list[int]) -> None:
    """Copy the `mixable` rows of `path` to general.jsonl, and the `held_out` rows to heldout.jsonl.

    `mixable` has one bool per row, `held_out` is a list of row indices. The file is read a second time here, so that it
    never needs to be in memory.
    """
    lines: dict[int, bytes] = dict.fromkeys(held_out, b"")

    def iterate_mixable() -> Iterator[bytes]:
        for index, (_, line) in enumerate(number_lines(path)):
            if mixable[index]:
                yield line.strip()
            elif index in lines:
                lines[index] = line.strip()

    write_lines(OUT / "general.jsonl", iterate_mixable())
    write_lines(OUT / "heldout.jsonl", lines.values() or [b""])  # DVC warns about empty files


def _read_rejected_by_prepare(path: Path) -> list[Row]:
    """Return the reports on the bad rows that the stage `prepare` left out."""
    reports = path.with_name(REJECTED)
    return read_jsonl(reports) if reports.is_file() else []


def main() -> None:
    """Read the tests, check the examples, choose the held-out rows, write."""
    from tqdm import tqdm

    decontaminate, general_rows = load_sections(Decontaminate, GeneralRows)
    path = Path("data/prepared/general/general.jsonl")
    tests = read_tests(
        Path("data/prepared/benchmark"),
        Path("data/prepared/instructions/ifeval.jsonl"),
        Path("data/split/test.jsonl"),
    )
    limits = Limits(decontaminate.ngram_size, decontaminate.fuzzy_match_min_words)
    index = OverlapIndex.from_texts(tests.questions, tests.others, limits)
    tokenizer = None if read_hosted_name(BASE) else load_tokenizer(BASE)
    with tqdm(number_lines(path), unit=" rows", desc="decontaminate", disable=None, dynamic_ncols=True) as lines:
        controls = None if tokenizer is None else compile_control_tokens(tokenizer)
        blocks = map_blocks(partial(check_block, path, index, tests.names, controls=controls), lines)
        checked = collect_blocks(path, blocks, tokenizer, general_rows.on_bad_row)
    keys, dropped, rejected = checked.keys, checked.dropped, checked.rejected
    clean = np.delete(np.arange(len(keys)), [*dropped, *rejected])
    chosen, is_mixable = hold_out(keys[clean], decontaminate.held_out)
    mixable = np.zeros(len(keys), np.bool_)
    mixable[clean] = is_mixable
    write_rows(path, mixable, clean[chosen].tolist())
    write_jsonl(OUT / "dropped.jsonl", dropped.values())
    left_out = [*_read_rejected_by_prepare(path), *rejected.values()]
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
        f"decontaminate: {mixable.sum()} general rows; {len(dropped)} dropped because they share text with a "
        f"test, {len(chosen)} held out"
    )
    if left_out:
        first = left_out[0]
        print(
            f"decontaminate: {len(left_out)} bad general rows were left out ({OUT}/rejected.jsonl); the first is "
            f"{first['file']}:{first['line']}: {first['reason']}"
        )
    for warning in tests.warnings + make_unknown_key_warnings(path, checked.unknown):
        print(f"decontaminate: {warning}")


if __name__ == "__main__":
    gc.disable()  # rows have no reference cycles, and searching for them takes a third of the time
    run(main)
