"""Requests put to an engine, and what the answers took."""

import time
from collections import Counter
from collections.abc import Callable

from alloy.core.files import Row
from alloy.inference.engine import Completion, Engine, Request


def ask(engine: Engine, requests: list[Request], advance: Callable[[int], object]) -> list[tuple[Completion, Row]]:
    """Return each completion with what it took: tokens, and an equal part of the seconds."""
    start = time.perf_counter()
    completions = engine.complete(requests, advance)
    seconds = (time.perf_counter() - start) / len(requests)
    return [
        (
            completion,
            {
                "seconds": seconds,
                "tokens_in": completion.tokens_in,
                "cached_in": completion.cached_in,
                "tokens_out": completion.tokens_out,
            },
        )
        for completion in completions
    ]


def spent(totals: "Counter[str]") -> Row:
    """Return the metrics of what all took together, by the sums of what `ask` gives."""
    return {
        "tokens_in": totals["tokens_in"],
        "cached_share": round(totals["cached_in"] / max(totals["tokens_in"], 1), 4),
        "tokens_out": totals["tokens_out"],
        "tokens_per_second": round(totals["tokens_out"] / max(totals["seconds"], 1e-9), 1),
    }
