"""Sends requests to an engine, and counts the tokens and seconds of the answers."""

import time
from collections import Counter
from collections.abc import Callable

from alloy.core.files import Row
from alloy.inference.engine import UNANSWERED, Completion, Engine, Finish, Request
from alloy.inference.settings import Infer


def ask_engine(
    engine: Engine, requests: list[Request], on_completion: Callable[[int, Completion, Row], object]
) -> None:
    """Call `on_completion` with (index, completion, usage) when an answer ends.

    The usage holds the tokens, and the seconds since the previous answer. So the seconds of all answers add up to the
    time of the whole call, even if answers are generated at the same time.
    """
    last = time.perf_counter()

    def add_usage(index: int, completion: Completion) -> None:
        nonlocal last
        now = time.perf_counter()
        usage: Row = {
            "seconds": now - last,
            "tokens_in": completion.tokens_in,
            "cached_in": completion.cached_in,
            "tokens_out": completion.tokens_out,
        }
        if completion.sampled:
            usage["sampled"] = 1
        last = now
        on_completion(index, completion, usage)

    engine.complete(requests, add_usage)


def make_finish_fields(completion: Completion) -> Row:
    """Return the fields of a row that say how its answer ended: `finish`, and if there is no answer, the `reason`."""
    fields = {"finish": completion.finish.value}
    return {**fields, "reason": completion.reason} if completion.finish in UNANSWERED else fields


def is_unanswered(row: Row) -> bool:
    """Return whether a row has no answer, by its `finish`: longer than the context, refused, or failed."""
    return row["finish"] in {finish.value for finish in UNANSWERED}


def make_needs_retry(infer: Infer) -> Callable[[Row], bool] | None:
    """Return the test for rows that the next run processes again: those that a service did not answer.

    None for a model on this machine: the result would be the same.
    """
    return is_unanswered if infer.is_service else None


def count_finish(row: Row) -> dict[str, int]:
    """Return what a row adds to the totals: one for its `finish`, and if it failed, one for its `reason`."""
    counts = {f"finish {row['finish']}": 1}
    return {**counts, f"reason {row['reason']}": 1} if row["finish"] == Finish.failed.value else counts


def count_unanswered(totals: "Counter[str]") -> dict[str, int]:
    """Return the number of rows without an answer, by kind, from the totals of `count_finish`."""
    return {finish.value: totals[f"finish {finish.value}"] for finish in UNANSWERED}


def find_usual_reason(totals: "Counter[str]") -> str:
    """Return the most common reason of the rows that failed, or an empty string."""
    reasons = {key.removeprefix("reason "): count for key, count in totals.items() if key.startswith("reason ")}
    return max(reasons, key=lambda reason: reasons[reason], default="")


def format_unanswered(stage: str, unit: str, counts: dict[str, int], hint: str, infer: Infer) -> str:
    """Return a line about rows without an answer: their `counts` by kind, and `hint`, where to find the reasons.

    `unit` is what a row is called, such as `comment`.
    """
    names = {Finish.context.value: "longer than the context"}
    kinds = ", ".join(f"{count} {names.get(kind, kind)}" for kind, count in counts.items() if count)
    total = sum(counts.values())
    note = f"{total} {unit} has no answer" if total == 1 else f"{total} {unit}s have no answer"
    retry = f"; to send again, run `dvc repro --force --single-item {stage}`" if infer.is_service else ""
    return f"{note} ({kinds}); {hint}{retry}"


def summarize_usage(totals: "Counter[str]") -> Row:
    """Return the metrics of tokens and speed, from the sums of the usage that `ask_engine` reports.

    `sampled` counts answers of a service that does not support greedy decoding.
    """
    return {
        "tokens_in": totals["tokens_in"],
        "cached_share": round(totals["cached_in"] / max(totals["tokens_in"], 1), 4),
        "tokens_out": totals["tokens_out"],
        "tokens_per_second": round(totals["tokens_out"] / max(totals["seconds"], 1e-9), 1),
        **({"sampled": totals["sampled"]} if totals["sampled"] else {}),
    }
