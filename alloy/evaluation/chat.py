"""Plain chat prompts, answered greedily by an engine, to be read by people and checked for leakage."""

from collections import Counter

from alloy.core.files import InputError, Row
from alloy.inference.engine import Completion, Engine, Finish, Request
from alloy.inference.usage import ask, ends, how_ended, unanswered, usual_reason
from alloy.runtime.chunks import OnRowDone


def answer_prompts(engine: Engine, prompts: list[Row], done: OnRowDone) -> None:
    """Give each prompt to `done` with the engine's `answer`, how it ended (`finish`), and `tokens`, its length."""

    def ended(index: int, completion: Completion, _: Row) -> None:
        row = {"answer": completion.text, **how_ended(completion), "tokens": completion.tokens_out}
        done(index, {**prompts[index], **row})

    ask(engine, [Request("", prompt["messages"]) for prompt in prompts], ended)


def count(row: Row, totals: "Counter[str]") -> Row | None:
    """Add an answer to the totals; return it with `cut`: 1 if it ended at the token limit.

    None if the prompt does not fit the model's context: it is left out.
    """
    totals.update(ends(row))
    if row["finish"] == Finish.context.value:
        return None
    cut = int(row["finish"] == Finish.length.value)
    totals.update({"answers": 1, "tokens": row["tokens"], "cut": cut})
    return {**row, "cut": cut}


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: the number of answers, their mean length in tokens, and the share that was cut.

    `unanswered` counts those that a service refused or failed to give, `over_context` the prompts that do not fit the
    model's context.
    """
    answers = totals["answers"]
    without = unanswered(totals)
    over_context = without.pop(Finish.context.value)
    if not answers:
        raise InputError(
            f"chat: none of the {over_context} prompts fits the model's context; write shorter ones "
            "(`data.chat` in params.yaml)"
        )
    if without["failed"] == answers:
        raise InputError(f"infer.engine: none of the {answers} chat prompts was answered: {usual_reason(totals)}")
    return {
        "answers": answers,
        "unanswered": without,
        "mean_tokens": round(totals["tokens"] / answers, 1),
        "cut": round(totals["cut"] / answers, 4),
        "over_context": over_context,
    }
