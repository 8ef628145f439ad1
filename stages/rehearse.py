"""Let the base model answer general prompts itself, where `mix.general` is self.

Reads   data/decontaminate/general.jsonl; models/base
Writes  data/rehearse/general.jsonl: the same rows, their last message the base's answer, in the order in which `mix`
        takes them; metrics/rehearse.json
Run     dvc repro rehearse

Training on such rows holds a model to what it was, as pseudorehearsal does (Robins 1995, "Catastrophic forgetting,
rehearsal and pseudorehearsal"). Answers that are empty, cut off or stuck in a loop are left out and counted, and so are
prompts without an answer (over the context, refused, failed after retries).
"""

import sys
from collections import Counter
from functools import partial
from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_whole
from alloy.core.repetition import is_looping
from alloy.core.settings import load_sections
from alloy.core.stage import run
from alloy.formats.general import read_general
from alloy.inference.engine import UNANSWERED, Completion, Engine, Finish, Request
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import Infer
from alloy.inference.usage import (
    ask_engine,
    count_finish,
    find_usual_reason,
    format_unanswered,
    make_finish_fields,
    make_retry_test,
    summarize_usage,
)
from alloy.mixing.sampling_order import rank_rows
from alloy.mixing.settings import General, Mix, Rehearse
from alloy.runtime.chunks import Job, OnRowDone, run_job
from alloy.runtime.resume import hash_inputs

ROWS, METRICS = Path("data/rehearse/general.jsonl"), Path("metrics/rehearse.json")
BASE = Path("models/base")
FAULTS = ("empty", "truncated", "repeated", "context", "refused", "failed")


def rehearse(engine: Engine, rows: list[Row], done: OnRowDone) -> None:
    """Give each row to `done` with the engine's answer to all but its last message, how this ended and what it took."""

    def ended(index: int, completion: Completion, use: Row) -> None:
        row = rows[index]
        answer = {"role": "assistant", "content": spoken(completion.text)}
        done(index, {**row, "messages": [*row["messages"][:-1], answer], **make_finish_fields(completion), "use": use})

    ask_engine(engine, [Request("", row["messages"][:-1]) for row in rows], ended)


def spoken(text: str) -> str:
    """Return an answer without the thoughts before it, and without the space around it."""
    return text.rpartition("</think>")[2].strip()


def fault(answer: str, finish: Finish) -> str | None:
    """Return why an answer is of no use, one of `FAULTS`, or None."""
    if finish in UNANSWERED:
        return finish.value
    if finish is Finish.length:
        return "truncated"
    if not answer:
        return "empty"
    return "repeated" if is_looping(answer) else None


def keep(row: Row, totals: "Counter[str]") -> Row | None:
    """Add an answered row to the totals; return it in the form of general rows, or None where it is of no use."""
    why = fault(row["messages"][-1]["content"], Finish(row["finish"]))
    totals.update({"asked": 1, why or "kept": 1, **count_finish(row), **row["use"]})
    return None if why else {key: value for key, value in row.items() if key not in ("finish", "use")}


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: how many answers there are, how many are of use and why not the others, what they took."""
    dropped = {why: totals[why] for why in FAULTS}
    if not totals["kept"]:
        why = ", ".join(f"{count} {name}" for name, count in dropped.items() if count)
        why += f"; {reason}" if (reason := find_usual_reason(totals)) else ""
        raise InputError(
            f"models/base: none of its {totals['asked']} answers to general prompts is of use ({why}); raise "
            "rehearse.max_new_tokens where they are truncated, else set mix.general: data"
        )
    figures = {"asked": totals["asked"], "kept": totals["kept"], "dropped": dropped, **summarize_usage(totals)}
    return {"rehearse": {**figures, "seconds": round(totals["seconds"], 1)}}


def main() -> None:
    """Choose, ask, publish."""
    mix, settings, infer = load_sections(Mix, Rehearse, Infer)
    if mix.general is General.data:
        write_whole(ROWS, lambda part: part.write_text("\n"))  # no row; DVC would warn of a file without a byte
        write_json(METRICS, {"rehearse": {}})
        print("rehearse: skipped, mix.general is data")
        return
    general = read_general(Path("data/decontaminate/general.jsonl"))
    rows = rank_rows(general, settings.seed)[: settings.rows]
    freely = {"constrain": False, "limit": None, "max_new_tokens": settings.max_new_tokens}
    infer = infer.model_copy(update=freely)
    job = Job(
        "rehearse", "answer", lambda: partial(rehearse, open_engine(BASE, infer)), keep, report, make_retry_test(infer)
    )
    key = hash_inputs("rehearse", [settings, infer.answer_settings])
    figures = run_job(job, key, rows, len(rows), infer.chunk_size, (ROWS, METRICS))["rehearse"]
    dropped = ", ".join(f"{count} {why}" for why, count in figures["dropped"].items() if count)
    print(f"rehearse: {figures['kept']} of {figures['asked']} answers kept" + (f"; {dropped}" if dropped else ""))
    without = {finish.value: figures["dropped"][finish.value] for finish in UNANSWERED}
    if any(without.values()):
        print(
            f"rehearse: {format_unanswered('rehearse', without, f'see `dropped` in {METRICS}', infer)}", file=sys.stderr
        )


if __name__ == "__main__":
    run(main)
