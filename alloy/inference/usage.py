"""Requests put to an engine, and what the answers took."""

import time
from collections import Counter
from collections.abc import Callable

from alloy.core.files import Row
from alloy.inference.engine import UNANSWERED, Completion, Engine, Finish, Request
from alloy.inference.settings import Infer


def ask(engine: Engine, requests: list[Request], done: Callable[[int, Completion, Row], object]) -> None:
    """Give each completion to `done` as it ends, with its index and what it took.

    That is tokens, and the seconds since the completion before it: in sum, those of all.
    """
    last = time.perf_counter()

    def ended(index: int, completion: Completion) -> None:
        nonlocal last
        now = time.perf_counter()
        use: Row = {
            "seconds": now - last,
            "tokens_in": completion.tokens_in,
            "cached_in": completion.cached_in,
            "tokens_out": completion.tokens_out,
        }
        if completion.sampled:
            use["sampled"] = 1
        last = now
        done(index, completion, use)

    engine.complete(requests, ended)


def how_ended(completion: Completion) -> Row:
    """Return how an answer ended as rows hold it: `finish`, and the `reason` if there is no answer."""
    ended = {"finish": completion.finish.value}
    return {**ended, "reason": completion.reason} if completion.finish in UNANSWERED else ended


def is_unanswered(row: Row) -> bool:
    """Return whether a row with `finish` has no answer: over the context, refused, or failed."""
    return row["finish"] in {finish.value for finish in UNANSWERED}


def again(infer: Infer) -> Callable[[Row], bool] | None:
    """Return which rows the next run asks for again: those that a service has not answered.

    None for a model on this machine, which would say the same again.
    """
    return is_unanswered if infer.is_service else None


def ends(row: Row) -> dict[str, int]:
    """Return what a row with `finish` adds to the totals: how it ended, and why it failed."""
    counts = {f"finish {row['finish']}": 1}
    return {**counts, f"reason {row['reason']}": 1} if row["finish"] == Finish.failed.value else counts


def unanswered(totals: "Counter[str]") -> dict[str, int]:
    """Return how many rows have no answer, by kind, of the totals of `ends`."""
    return {finish.value: totals[f"finish {finish.value}"] for finish in UNANSWERED}


def usual_reason(totals: "Counter[str]") -> str:
    """Return why most of the rows that failed did."""
    reasons = {key.removeprefix("reason "): count for key, count in totals.items() if key.startswith("reason ")}
    return max(reasons, key=lambda reason: reasons[reason], default="")


def unanswered_note(stage: str, counts: dict[str, int], place: str, infer: Infer) -> str:
    """Return the line about what has no answer; `counts` by kind, `place` says where the reasons are."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    note = f"{sum(counts.values())} without an answer ({kinds}), {place}"
    return f"{note}; `dvc repro --force --single-item {stage}` asks for these again" if infer.is_service else note


def spent(totals: "Counter[str]") -> Row:
    """Return the metrics of what all took together, by the sums of what `ask` gives.

    `sampled` counts the answers of a service that does not answer greedily.
    """
    return {
        "tokens_in": totals["tokens_in"],
        "cached_share": round(totals["cached_in"] / max(totals["tokens_in"], 1), 4),
        "tokens_out": totals["tokens_out"],
        "tokens_per_second": round(totals["tokens_out"] / max(totals["seconds"], 1e-9), 1),
        **({"sampled": totals["sampled"]} if totals["sampled"] else {}),
    }
