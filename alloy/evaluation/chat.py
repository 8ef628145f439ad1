"""Plain chat prompts, answered greedily by an engine, to be read by people and checked for leakage."""

from collections import Counter

from alloy.core.files import Row
from alloy.inference.engine import Engine, Finish, Request
from alloy.inference.usage import ask
from alloy.runtime.chunks import Advance

LIMITS = (Finish.length.value, Finish.context.value)


def answer_prompts(engine: Engine, prompts: list[Row], advance: Advance) -> list[Row]:
    """Return each prompt with the engine's `answer`, how it ended (`finish`), and `tokens`, its length."""
    requests = [Request("", prompt["messages"]) for prompt in prompts]
    return [
        {**prompt, "answer": completion.text, "finish": completion.finish.value, "tokens": completion.tokens_out}
        for prompt, (completion, _) in zip(prompts, ask(engine, requests, advance), strict=True)
    ]


def count(row: Row, totals: "Counter[str]") -> Row:
    """Add an answer to the totals; return it with `cut`: 1 if it ended at the token limit."""
    cut = int(row["finish"] in LIMITS)
    totals.update({"answers": 1, "tokens": row["tokens"], "cut": cut})
    return {**row, "cut": cut}


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: the number of answers, their mean length in tokens, and the share that was cut."""
    answers = totals["answers"]
    return {
        "answers": answers,
        "mean_tokens": round(totals["tokens"] / answers, 1),
        "cut": round(totals["cut"] / answers, 4),
    }
