"""Plain chat prompts, answered greedily by an engine, to be read by people and checked for leakage."""

from collections import Counter

from alloy.core.files import InputError, Row
from alloy.inference.engine import Completion, Engine, Finish, Request
from alloy.inference.usage import ask, ends, how_ended, unanswered, usual_reason
from alloy.runtime.chunks import Done

LIMITS = (Finish.length.value, Finish.context.value)


def answer_prompts(engine: Engine, prompts: list[Row], done: Done) -> None:
    """Give each prompt to `done` with the engine's `answer`, how it ended (`finish`), and `tokens`, its length."""

    def ended(index: int, completion: Completion, _: Row) -> None:
        row = {"answer": completion.text, **how_ended(completion), "tokens": completion.tokens_out}
        done(index, {**prompts[index], **row})

    ask(engine, [Request("", prompt["messages"]) for prompt in prompts], ended)


def count(row: Row, totals: "Counter[str]") -> Row:
    """Add an answer to the totals; return it with `cut`: 1 if it ended at the token limit."""
    cut = int(row["finish"] in LIMITS)
    totals.update({"answers": 1, "tokens": row["tokens"], "cut": cut, **ends(row)})
    return {**row, "cut": cut}


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: the number of prompts, how many have no answer, the mean length in tokens, the share cut."""
    answers = totals["answers"]
    without = unanswered(totals)
    if without["failed"] == answers:
        raise InputError(f"infer.engine: none of the {answers} chat prompts was answered: {usual_reason(totals)}")
    return {
        "answers": answers,
        "unanswered": without,
        "mean_tokens": round(totals["tokens"] / answers, 1),
        "cut": round(totals["cut"] / answers, 4),
    }
