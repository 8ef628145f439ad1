"""Chats as training examples: their tokens, and which of these teach, that is, which the loss is taken over.

An answer teaches from the first token that the model writes, after the generation prompt of the chat template, to the
end of its turn. Each part is encoded by itself, so that no token lies across the border of an answer.
"""

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.modeling.answer_markup import find_markup, split_answer
from alloy.modeling.chat_template import (
    Messages,
    Rendered,
    RenderError,
    Span,
    control_tokens,
    encode,
    render_chat,
)

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # a label that takes no part in the loss


class AssistantTurns(Enum):
    """Which messages of the assistant teach, where a chat has several."""

    all = "all"
    last = "last"


def encode_examples(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns
) -> list[tuple[list[int], list[int]]]:
    """Return (tokens, labels) of each row; the label of a token that does not teach is `IGNORED`.

    A row that the template cannot render raises `InputError` with its id.
    """
    parts = [_parts_of(tokenizer, row, turns) for row in rows]
    heads = encode(tokenizer, [part[0] for part in parts])
    rest = iter(encode(tokenizer, [one for part in parts for one in part[1:]]))
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
    """Return (rows, 2): the tokens of each example, and those that the loss is taken over."""
    import numpy as np

    counts = [
        (len(labels), len(labels) - labels.count(IGNORED)) for _, labels in encode_examples(rows, tokenizer, turns)
    ]
    return np.array(counts, np.int64).reshape(-1, 2)


def _parts_of(tokenizer: "PreTrainedTokenizerBase", row: Row, turns: AssistantTurns) -> list[Rendered]:
    try:
        return split_example(tokenizer, row["messages"], turns)
    except RenderError as error:
        raise InputError(f"row '{row['id']}': {error}") from None


def split_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages, turns: AssistantTurns) -> list[Rendered]:
    r"""Return the text of a chat in parts: by turns one that is only read, and one that teaches.

    1. Render the chat, and its prompt: all messages but the last. The last answer is what comes after the prompt.
    2. Find the earlier answers, if they teach as well (`_earlier_answers`).
    3. Cut the text at both ends of each answer. A line feed after the last one is left out.

    Example (ChatML, `all`): `<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n`, `Hello<|im_end|>`,
    `\\n<|im_start|>user\\nBye<|im_end|>\\n<|im_start|>assistant\\n`, `Bye<|im_end|>`.
    """
    several = turns is AssistantTurns.all and sum(one["role"] == "assistant" for one in messages) > 1
    thinking = split_answer(messages[-1]["content"]).reasoning is not None
    prompt = render_chat(tokenizer, messages[:-1], answered=False, thinking=thinking, every=several).rendered
    chat = render_chat(tokenizer, messages, answered=True, thinking=thinking, every=several)
    whole = chat.rendered
    if not whole.text.startswith(prompt.text):
        raise RenderError(
            "the chat template renders the prompt differently with the answer behind it; take a template whose "
            "generation prompt is the start of the assistant's turn"
        )
    answers = [(len(prompt.text), len(whole.text.removesuffix("\n")))]
    if several:
        answers = [*_earlier_answers(tokenizer, messages, whole, chat.owners), *answers]
    parts, place = [], 0
    for start, end in answers:
        parts += [whole.part(place, start), whole.part(start, end)]
        place = end
    return parts


def _earlier_answers(
    tokenizer: "PreTrainedTokenizerBase", messages: Messages, whole: Rendered, owners: tuple[tuple[int, str], ...]
) -> list[Span]:
    """Return where the assistant's messages before the last one teach.

    An answer begins where the generation prompt of the messages before it ends; where the template shows earlier
    answers in another way than it asks for one (Qwen3 leaves out the empty thought), where its content begins. It ends
    with the token that ends a turn. An answer of which the template leaves a part out, as Qwen3 does with earlier
    thoughts, does not teach: the model would learn to leave it out.
    """
    ending = _turn_end(tokenizer)
    found: list[Span] = []
    for place, message in enumerate(messages[:-1]):
        if message["role"] != "assistant":
            continue
        answer = split_answer(message["content"])
        given = [span for span, (owner, _) in zip(whole.given, owners, strict=True) if owner == place]
        wanted = bool(answer.content) + (answer.reasoning is not None) + len(answer.calls)
        if not given or len(given) != wanted or (answer.calls and not ending):
            continue
        prompt = render_chat(
            tokenizer, messages[:place], answered=False, thinking=answer.reasoning is not None, every=True
        ).rendered
        if whole.text.startswith(prompt.text):
            start = len(prompt.text)
        elif answer.reasoning is None:
            start = given[0][0]
        else:
            continue
        following = (span[0] for span, (owner, _) in zip(whole.given, owners, strict=True) if owner > place)
        end = whole.text.find(ending, given[-1][1], next(following, len(whole.text)))
        if end < 0:
            raise RenderError(
                f"the chat template does not end message {place + 1} with {ending!r}; set assistant_turns: last"
            )
        found.append((start, end + len(ending)))
    return found


@lru_cache(maxsize=4)
def _turn_end(tokenizer: "PreTrainedTokenizerBase") -> str:
    r"""Return what ends an answer that another message follows, with the control token that is the end.

    1. Render a chat of two answers, and look at what the template writes after each.
    2. Take what both begin with, up to the end of a control token: `<|end|>` of `<|end|>\n<|endoftext|>` (Phi 3).
    3. If there is none, take what comes after the first answer up to its first control token (`<|end|>` of gpt-oss,
       whose last answer ends in `<|return|>`); nothing, if the template ends the last answer with nothing.
    """
    chat = [{"role": role, "content": "Hello"} for role in ("user", "assistant", "user", "assistant")]
    rendered = render_chat(tokenizer, chat, answered=True, every=True).rendered
    _, first, second, last = rendered.given
    after_first = rendered.text[first[1] : second[0]]
    after_last = rendered.text[last[1] :].removesuffix("\n")
    tokens = control_tokens(tokenizer)
    for end in (*sorted(_ends(after_last, tokens), reverse=True), len(after_last)):
        if after_first.startswith(after_last[:end]):
            return after_last[:end]
    ends = _ends(after_first, tokens)
    return after_first[: min(ends)] if ends else after_first


def _ends(text: str, tokens: Iterable[str]) -> list[int]:
    """Return where the tokens that are in a text end."""
    return [text.index(token) + len(token) for token in tokens if token in text]


def why_unusable(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, Any]]) -> str | None:
    """Return why a general example cannot be rendered for this model and how to fix it, or None.

    Rows without reasoning and tool calls depend on their roles alone: `why_unusable_roles`.
    """
    for number, message in enumerate(messages, 1):
        if message["role"] == "assistant" and (markup := find_markup(message)):
            return (
                f"message {number} holds {markup!r}, which would be taught as letters; write reasoning as "
                '<think>..</think> at the start of `content`, a tool call as <tool_call>{"name", "arguments"}'
                "</tool_call> at its end, or drop the row"
            )
    try:
        split_example(tokenizer, messages, AssistantTurns.last)
    except RenderError as error:
        return f"{error}; change or drop the row"
    return None


@lru_cache(maxsize=4096)
def why_unusable_roles(tokenizer: "PreTrainedTokenizerBase", roles: tuple[str, ...]) -> str | None:
    """Return why chats of these roles, in this order, cannot be rendered for this model, or None."""
    said = ", ".join(roles)
    why = why_unusable(tokenizer, [{"role": role, "content": "Hello"} for role in roles])
    return why and f"roles {said}: {why}"
