"""Answer plain chat prompts. People read the answers in the report, and leakage is measured on them."""

from collections import Counter
from typing import TYPE_CHECKING

from alloy.core.files import InputError, Row
from alloy.inference.engine import Completion, Engine, Finish, Request
from alloy.inference.usage import (
    ask_engine,
    count_finish,
    count_unanswered,
    find_usual_reason,
    is_unanswered,
    make_finish_fields,
)
from alloy.modeling.chat_template import RenderError, render_prompt
from alloy.runtime.chunks import OnRowDone

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def answer_prompts(engine: Engine, prompts: list[Row], on_row_done: OnRowDone) -> None:
    """Call `on_row_done` with (index, row) when an answer ends.

    The row is the prompt with `answer`, `finish` and `tokens`.
    """

    def add_answer(index: int, completion: Completion, _: Row) -> None:
        row = {"answer": completion.text, **make_finish_fields(completion), "tokens": completion.tokens_out}
        on_row_done(index, {**prompts[index], **row})

    ask_engine(engine, [Request("", prompt["messages"]) for prompt in prompts], add_answer)


def keep_renderable(prompts: list[Row], tokenizer: "PreTrainedTokenizerBase") -> tuple[list[Row], list[str]]:
    """Return the prompts that the model's chat template can render, and one line for each of the others.

    Some templates have no system role, for example.
    """
    kept, problems = [], []
    for prompt in prompts:
        try:
            render_prompt(tokenizer, prompt["messages"])
        except RenderError as error:
            problems.append(f"prompt '{prompt['id']}' is left out: {error}")
        else:
            kept.append(prompt)
    return kept, problems


def count_answer(row: Row, totals: "Counter[str]") -> Row | None:
    """Add an answer to the totals. Return it with `cut`: 1 if it reached the token limit, otherwise 0.

    A prompt that a service refused or failed to answer is kept, but it does not count as an answer. Return None if the
    prompt does not fit the model's context: it is skipped.
    """
    totals.update(count_finish(row))
    if row["finish"] == Finish.context.value:
        return None
    if is_unanswered(row):
        return {**row, "cut": 0}
    cut = int(row["finish"] == Finish.length.value)
    totals.update({"answers": 1, "tokens": row["tokens"], "cut": cut})
    return {**row, "cut": cut}


def summarize_answers(totals: "Counter[str]") -> Row:
    """Return the metrics: the number of answers, their mean length in tokens, and the share that was cut.

    `unanswered` counts answers that a service refused or failed to give. `over_context` counts prompts that are longer
    than the model's context.
    """
    answers = totals["answers"]
    unanswered = count_unanswered(totals)
    over_context = unanswered.pop(Finish.context.value)
    asked = sum(unanswered.values())
    if not answers and not asked:
        raise InputError(
            f"chat: all {over_context} prompts are longer than the model's context; shorten the prompts (`data.chat` "
            "in params.yaml)"
        )
    if not answers:
        reason = find_usual_reason(totals) if unanswered["failed"] else "refused"
        raise InputError(
            f"infer.engine: none of the {asked} prompts was answered ({reason}); check the service and infer.engine"
        )
    return {
        "answers": answers,
        "unanswered": unanswered,
        "mean_tokens": round(totals["tokens"] / answers, 1),
        "cut": round(totals["cut"] / answers, 4),
        "over_context": over_context,
    }
