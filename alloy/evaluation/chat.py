"""Plain chat prompts, answered greedily by an engine, to be read by people and checked for leakage."""

from collections import Counter

from alloy.core.files import InputError, Row
from alloy.inference.engine import Engine, Finish, Request
from alloy.inference.usage import ask
from alloy.runtime.chunks import Advance

OVER_CONTEXT = "over_context"  # how many prompts were left out


def answer_prompts(engine: Engine, prompts: list[Row], advance: Advance) -> list[Row]:
    """Return each prompt with the engine's `answer`, how it ended (`finish`), and `tokens`, its length."""
    requests = [Request("", prompt["messages"]) for prompt in prompts]
    return [
        {**prompt, "answer": completion.text, "finish": completion.finish.value, "tokens": completion.tokens_out}
        for prompt, (completion, _) in zip(prompts, ask(engine, requests, advance), strict=True)
    ]


def count(row: Row, totals: "Counter[str]") -> Row | None:
    """Add an answer to the totals; return it with `cut`: 1 if it ended at the token limit.

    None if the prompt does not fit the model's context: it is left out.
    """
    if row["finish"] == Finish.context.value:
        totals[OVER_CONTEXT] += 1
        return None
    cut = int(row["finish"] == Finish.length.value)
    totals.update({"answers": 1, "tokens": row["tokens"], "cut": cut})
    return {**row, "cut": cut}


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: the number of answers, their mean length in tokens, and the share that was cut.

    `over_context` counts the prompts that do not fit the model's context.
    """
    answers = totals["answers"]
    if not answers:
        raise InputError(
            f"chat: none of the {totals[OVER_CONTEXT]} prompts fits the model's context; write shorter ones "
            "(`data.chat` in params.yaml)"
        )
    return {
        "answers": answers,
        "mean_tokens": round(totals["tokens"] / answers, 1),
        "cut": round(totals["cut"] / answers, 4),
        OVER_CONTEXT: totals[OVER_CONTEXT],
    }
