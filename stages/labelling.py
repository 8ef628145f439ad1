"""Comments to predictions by an engine, and what it took."""

import time
from collections import Counter
from collections.abc import Callable

from stages.answer import parse_answer
from stages.comments import segment_row, text_hash
from stages.engine import Engine, Finish, Request
from stages.prompt import Prompts
from stages.records import Row


def label(engine: Engine, prompts: Prompts, comments: list[Row], advance: Callable[[int], object]) -> list[Row]:
    """Return a prediction for each comment, with what it took under `use`."""
    requests = [Request(row["text"], chat) for row, chat in zip(comments, prompts.messages(comments), strict=True)]
    start = time.perf_counter()
    completions = engine.complete(requests, advance)
    seconds = (time.perf_counter() - start) / len(comments)
    rows = []
    for comment, completion in zip(comments, completions, strict=True):
        answer = parse_answer(completion.text, prompts.taxonomy.levels, prompts.codes)
        rows.append(
            {
                "id": comment["id"],
                "hash": text_hash(comment["text"]),
                "raw": completion.text,
                "valid": answer.valid,
                "finish": completion.finish.value,
                "segments": [segment_row(segment, prompts.taxonomy.levels) for segment in answer.segments],
                "use": {
                    "seconds": seconds,
                    "tokens_in": completion.tokens_in,
                    "cached_in": completion.cached_in,
                    "tokens_out": completion.tokens_out,
                    "contents": sum(segment.content is not None for segment in answer.segments),
                    "quoted": sum(bool(s.content) and str(s.content) in comment["text"] for s in answer.segments),
                },
            }
        )
    return rows


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: what went in and out, how fast, and how many answers are not what was asked for."""
    comments, seconds = totals["comments"], max(totals["seconds"], 1e-9)
    figures: Row = {
        "comments": comments,
        "tokens_in": totals["tokens_in"],
        "cached_share": round(totals["cached_in"] / max(totals["tokens_in"], 1), 4),
        "tokens_out": totals["tokens_out"],
        "tokens_per_second": round(totals["tokens_out"] / seconds, 1),
        "comments_per_second": round(comments / seconds, 3),
        "invalid_json": round(1 - totals["valid"] / comments, 4),
    }
    for finish in (Finish.length, Finish.context, Finish.refused):
        figures[f"ended_by_{finish.value}"] = round(totals[f"finish {finish.value}"] / comments, 4)
    if totals["contents"]:
        figures["quoted"] = round(totals["quoted"] / totals["contents"], 4)
    return figures
