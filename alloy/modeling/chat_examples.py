"""Chats as training examples: their tokens, and on which of them the loss is computed.

The loss is computed on answers: from the first token that the model writes, after the generation prompt of the chat
template, to the end of the turn. Prompts and answers are encoded separately, so that no token spans both.
"""

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.modeling.answer_markup import compile_control_tokens, find_markup, has_markup, split_answer
from alloy.modeling.chat_template import (
    Messages,
    Rendered,
    RenderError,
    Span,
    encode,
    get_control_tokens,
    render_chat,
)

if TYPE_CHECKING:
    import re

    import numpy as np
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # label of tokens without loss


class AssistantTurns(Enum):
    """On which assistant messages the loss is computed, if a chat has several."""

    all = "all"
    last = "last"


def encode_examples(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns
) -> list[tuple[list[int], list[int]]]:
    """Return (tokens, labels) of each row. Tokens without loss have the label `IGNORED`.

    Raises `InputError` with the id of a row that the chat template cannot render.
    """
    parts = [_split_row(tokenizer, row, turns) for row in rows]
    heads = encode(tokenizer, [part[0] for part in parts])
    rest = iter(encode(tokenizer, [text for part in parts for text in part[1:]]))
    examples = []
    for head, part in zip(heads, parts, strict=True):
        tokens, labels = list(head), [IGNORED] * len(head)
        for number in range(1, len(part)):
            ids = next(rest)
            tokens += ids
            labels += ids if number % 2 else [IGNORED] * len(ids)
        examples.append((tokens, labels))
    return examples


def count_tokens(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns) -> "np.ndarray":
    """Return (rows, 2): the number of tokens of each example, and of those with loss."""
    import numpy as np

    counts = [
        (len(labels), len(labels) - labels.count(IGNORED)) for _, labels in encode_examples(rows, tokenizer, turns)
    ]
    return np.array(counts, np.int64).reshape(-1, 2)


def _split_row(tokenizer: "PreTrainedTokenizerBase", row: Row, turns: AssistantTurns) -> list[Rendered]:
    try:
        return split_example(tokenizer, row["messages"], turns)
    except RenderError as error:
        raise InputError(f"row '{row['id']}': {error}") from None


def split_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages, turns: AssistantTurns) -> list[Rendered]:
    r"""Split the text of a chat into parts: context without loss and answers with loss, alternately.

    1. Render the chat, and its prompt (all messages but the last). The last answer is the text after the prompt.
    2. Find the earlier answers, if they have loss too (`_find_earlier_answers`).
    3. Cut the text at both ends of each answer. A line feed after the last one is left out.

    Example (ChatML, `all`): `<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n`, `Hello<|im_end|>`,
    `\\n<|im_start|>user\\nBye<|im_end|>\\n<|im_start|>assistant\\n`, `Bye<|im_end|>`.
    """
    several = turns is AssistantTurns.all and sum(message["role"] == "assistant" for message in messages) > 1
    thinking = split_answer(messages[-1]["content"]).reasoning is not None
    prompt = render_chat(tokenizer, messages[:-1], answered=False, thinking=thinking, mark_all=several).rendered
    chat = render_chat(tokenizer, messages, answered=True, thinking=thinking, mark_all=several)
    whole = chat.rendered
    if not whole.text.startswith(prompt.text):
        raise RenderError(
            "the chat template renders the prompt differently if an answer follows; use a template whose generation "
            "prompt is the start of the assistant's turn"
        )
    answers = [(len(prompt.text), len(whole.text.removesuffix("\n")))]
    if several:
        answers = [*_find_earlier_answers(tokenizer, messages, whole, chat.owners), *answers]
    parts, position = [], 0
    for start, end in answers:
        parts += [whole.cut_part(position, start), whole.cut_part(start, end)]
        position = end
    return parts


def _find_earlier_answers(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, whole: Rendered, owners: tuple[tuple[int, str], ...]
) -> list[Span]:
    """Return the spans of the assistant messages before the last one that the loss is computed on.

    For each of these messages, without a loss on it if a step fails (it is then only context):

    1. The template must show all parts of it. Qwen3's leaves out earlier reasoning; the model would learn to leave it
       out.
    2. The span starts where the model would start to write (`_find_start`).
    3. The span ends with the token that ends a turn, before the next message.
    """
    ending = _find_turn_end(tokenizer)
    spans: list[Span] = []
    for number, message in enumerate(messages[:-1]):
        if message["role"] != "assistant":
            continue
        answer = split_answer(message["content"])
        parts = [
            (span, kind) for span, (owner, kind) in zip(whole.message_spans, owners, strict=True) if owner == number
        ]
        shown = [span for span, _ in parts]
        expected = bool(answer.content) + (answer.reasoning is not None) + len(answer.calls)
        if not shown or len(shown) != expected or (answer.calls and not ending):
            continue
        content_start = shown[0][0] if parts[0][1] == "content" else None
        start = _find_start(tokenizer, messages[:number], whole, content_start, reasons=answer.reasoning is not None)
        following = (span[0] for span, (owner, _) in zip(whole.message_spans, owners, strict=True) if owner > number)
        end = whole.text.find(ending, shown[-1][1], next(following, len(whole.text)))
        if start is not None and end >= 0:
            spans.append((start, end + len(ending)))
    return spans


def _find_start(
    tokenizer: "PreTrainedTokenizerBase", before: Messages, whole: Rendered, content_start: int | None, *, reasons: bool
) -> int | None:
    """Return where the model would start to write an earlier answer, or None if it would not write it.

    `before` are the messages before it. `content_start` is where its content starts, and None if it does not start with
    content, but with a tool call or reasoning (`reasons`).

    1. The model does not write an answer without a prompt: a greeting at the start of a chat, or an answer after
       messages for which the template has no prompt.
    2. It starts where the generation prompt ends.
    3. If the template renders earlier answers without that prompt (Qwen3 leaves out the empty reasoning), it starts
       where the content starts, or where it would start in an answer that has some. With reasoning, that is not known.
    """
    if not before:
        return None
    try:
        prompt = render_chat(tokenizer, before, answered=False, thinking=reasons, mark_all=True).rendered
    except RenderError:
        return None
    if whole.text.startswith(prompt.text):
        return len(prompt.text)
    if reasons or content_start is not None:
        return None if reasons else content_start
    answered = [*before, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hello"}]
    try:
        with_content = render_chat(tokenizer, answered, answered=False, mark_all=True)
    except RenderError:
        return None
    spans = zip(with_content.rendered.message_spans, with_content.owners, strict=True)
    start = next((span[0] for span, (owner, _) in spans if owner == len(before)), None)
    is_same = start is not None and whole.text.startswith(with_content.rendered.text[:start])
    return start if is_same else None


@lru_cache(maxsize=4)
def _find_turn_end(tokenizer: "PreTrainedTokenizerBase") -> str:
    r"""Return the text that ends an answer if another message follows, up to its control token.

    1. Render a chat of two answers. Compare the text after the first answer with the text after the last one.
    2. Take their common beginning, up to the end of a control token: `<|end|>` of `<|end|>\n<|endoftext|>` (Phi 3).
    3. If there is none, take the text after the first answer up to its first control token (`<|end|>` of gpt-oss,
       whose last answer ends with `<|return|>`). If no text follows the last answer, the result is empty.
    """
    chat = [{"role": role, "content": "Hello"} for role in ("user", "assistant", "user", "assistant")]
    rendered = render_chat(tokenizer, chat, answered=True, mark_all=True).rendered
    if len(rendered.message_spans) != len(chat):
        raise RenderError("the chat template writes a message twice")
    _, first, second, last = rendered.message_spans
    after_first = rendered.text[first[1] : second[0]]
    after_last = rendered.text[last[1] :].removesuffix("\n")
    tokens = get_control_tokens(tokenizer)
    for end in (*sorted(_find_ends(after_last, tokens), reverse=True), len(after_last)):
        if after_first.startswith(after_last[:end]):
            return after_last[:end]
    ends = _find_ends(after_first, tokens)
    return after_first[: min(ends)] if ends else after_first


def _find_ends(text: str, tokens: Iterable[str]) -> list[int]:
    """Return the positions in a text where tokens end."""
    return [text.index(token) + len(token) for token in tokens if token in text]


def find_template_problem(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, Any]]) -> str | None:
    """Return why a general example cannot be rendered for this model and how to fix it; None if it can.

    1. No assistant message holds markup or control tokens that would be trained as letters.
    2. The example is rendered as for training on all answers, which includes what training on the last one needs.
    3. The template shows the content of each message.

    `find_row_problem` is faster if there are many examples.
    """
    for number, message in enumerate(messages, 1):
        if message["role"] == "assistant" and (markup := find_markup(message, compile_control_tokens(tokenizer))):
            return (
                f"message {number} holds {markup!r}, which would be trained as plain text; write reasoning as "
                '<think>...</think> at the start of `content`, a tool call as <tool_call>{"name", "arguments"}'
                "</tool_call> at its end, or drop the row"
            )
    try:
        split_example(tokenizer, messages, AssistantTurns.all)
        thinking = split_answer(messages[-1]["content"]).reasoning is not None
        render_chat(tokenizer, messages, answered=True, thinking=thinking, mark_all=True)
    except RenderError as error:
        return f"{error}; change or drop the row"
    return None


def find_row_problem(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, Any]]) -> str | None:
    """Return the same as `find_template_problem`, but render only one of the examples that depend on their roles."""
    if is_rendered_alone(messages, compile_control_tokens(tokenizer)):
        return find_template_problem(tokenizer, messages)
    return find_role_problem(tokenizer, tuple(message["role"] for message in messages))


def is_rendered_alone(messages: list[dict[str, Any]], controls: "re.Pattern[str] | None") -> bool:
    """Return whether it depends on more than its roles whether an example can be rendered.

    That is so if an assistant message holds reasoning, a tool call or a control token, or if a message is empty.
    """
    return any(
        not message["content"].strip() or (message["role"] == "assistant" and has_markup(message, controls))
        for message in messages
    )


@lru_cache(maxsize=4096)
def find_role_problem(tokenizer: "PreTrainedTokenizerBase", roles: tuple[str, ...]) -> str | None:
    """Return why chats with these roles, in this order, cannot be rendered for this model; None if they can."""
    why = find_template_problem(tokenizer, [{"role": role, "content": "Hello"} for role in roles])
    return why and f"roles {', '.join(roles)}: {why}"
