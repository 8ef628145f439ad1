"""Generate the base model's own answers to general prompts, if `mix.general` is self.

Reads   data/decontaminate/general.jsonl; models/base
Writes  data/rehearse/general.jsonl: the same rows with the base model's answer as last message, in the order in which
        `mix` samples them; metrics/rehearse.json
Run     dvc repro rehearse

Training on the model's own answers reduces forgetting (pseudorehearsal: Robins 1995, "Catastrophic forgetting,
rehearsal and pseudorehearsal"). Answers that are empty, cut off or repeat themselves are left out and counted; so are
prompts without an answer (longer than the context, refused, failed after retries).
"""

import sys
from collections import Counter
from functools import partial
from pathlib import Path

from alloy.core.files import InputError, Row, write_atomically, write_json
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
    make_needs_retry,
    summarize_usage,
)
from alloy.mixing.sampling_order import rank_rows
from alloy.mixing.settings import General, Mix, Rehearse
from alloy.runtime.chunks import Job, OnRowDone, run_job
from alloy.runtime.resume import hash_inputs

ROWS, METRICS = Path("data/rehearse/general.jsonl"), Path("metrics/rehearse.json")
BASE = Path("models/base")
REJECT_REASONS = ("empty", "truncated", "repeated", "context", "refused", "failed")


def answer_prompts(engine: Engine, rows: list[Row], on_row_done: OnRowDone) -> None:
    """Replace each row's last message by the engine's answer, and pass the row to `on_row_done`.

    The row also gets `finish` and `use` (tokens and seconds).
    """

    def on_completion(index: int, completion: Completion, usage: Row) -> None:
        row = rows[index]
        answer = {"role": "assistant", "content": strip_thoughts(completion.text)}
        on_row_done(
            index, {**row, "messages": [*row["messages"][:-1], answer], **make_finish_fields(completion), "use": usage}
        )

    ask_engine(engine, [Request("", row["messages"][:-1]) for row in rows], on_completion)


def strip_thoughts(text: str) -> str:
    """Return an answer without the reasoning before `</think>`, and without surrounding white space."""
    return text.rpartition("</think>")[2].strip()


def find_reject_reason(answer: str, finish: Finish) -> str | None:
    """Return why an answer cannot be used, one of `REJECT_REASONS`, or None if it can."""
    if finish in UNANSWERED:
        return finish.value
    if finish is Finish.length:
        return "truncated"
    if not answer:
        return "empty"
    return "repeated" if is_looping(answer) else None


def keep_row(row: Row, totals: "Counter[str]") -> Row | None:
    """Add a row to the totals; return it in the format of general rows, or None if its answer cannot be used."""
    reason = find_reject_reason(row["messages"][-1]["content"], Finish(row["finish"]))
    totals.update({"asked": 1, reason or "kept": 1, **count_finish(row), **row["use"]})
    return None if reason else {key: value for key, value in row.items() if key not in ("finish", "use")}


def make_report(totals: "Counter[str]") -> Row:
    """Return the metrics: prompts, answers kept, answers dropped by reason, and usage.

    Raise `InputError` if no answer can be used.
    """
    dropped = {reason: totals[reason] for reason in REJECT_REASONS}
    if not totals["kept"]:
        reasons = ", ".join(f"{count} {name}" for name, count in dropped.items() if count)
        reasons += f"; {usual_reason}" if (usual_reason := find_usual_reason(totals)) else ""
        raise InputError(
            f"models/base: none of the {totals['asked']} answers to general prompts can be used ({reasons}); if they "
            "are truncated, raise rehearse.max_new_tokens; otherwise, set mix.general: data"
        )
    metrics = {"asked": totals["asked"], "kept": totals["kept"], "dropped": dropped, **summarize_usage(totals)}
    return {"rehearse": {**metrics, "seconds": round(totals["seconds"], 1)}}


def main() -> None:
    """Choose the prompts, generate the answers, write rows and metrics."""
    mix, settings, infer = load_sections(Mix, Rehearse, Infer)
    if mix.general is General.data:
        # No rows, but a line feed: DVC warns about empty files.
        write_atomically(ROWS, lambda file: file.write_text("\n"))
        write_json(METRICS, {"rehearse": {}})
        print("rehearse: skipped, mix.general is data")
        return
    general = read_general(Path("data/decontaminate/general.jsonl"))
    rows = rank_rows(general, settings.seed)[: settings.rows]
    options = {"constrain": False, "limit": None, "max_new_tokens": settings.max_new_tokens}
    infer = infer.model_copy(update=options)
    job = Job(
        name="rehearse",
        unit="answer",
        open_worker=lambda: partial(answer_prompts, open_engine(BASE, infer)),
        count_row=keep_row,
        make_metrics=make_report,
        needs_retry=make_needs_retry(infer),
    )
    key = hash_inputs("rehearse", [settings, infer.answer_settings])
    metrics = run_job(job, key, rows, len(rows), infer.chunk_size, (ROWS, METRICS))["rehearse"]
    dropped = ", ".join(f"{count} {why}" for why, count in metrics["dropped"].items() if count)
    print(f"rehearse: {metrics['kept']} of {metrics['asked']} answers kept" + (f"; {dropped}" if dropped else ""))
    unanswered = {finish.value: metrics["dropped"][finish.value] for finish in UNANSWERED}
    if any(unanswered.values()):
        note = format_unanswered("rehearse", "prompt", unanswered, f"see `dropped` in {METRICS}", infer)
        print(f"rehearse: {note}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
