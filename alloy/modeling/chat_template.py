"""Render chat messages with a model's chat template, and encode the text as tokens.

The text of a message never becomes a control token. A comment that contains `<|im_end|>` contains ten ordinary
characters, in training and in inference. Only the template starts and ends turns.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError
from alloy.modeling.answer_markup import split_answer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]
Span = tuple[int, int]
MARK = " \ue000{}\ue001 "  # placeholder of a message text; some templates strip the spaces around it
# The date that every template gets as today, so that an example has the same tokens on any day. It is Llama's default.
DATE = datetime(2024, 7, 26)
TOOL_CALL = "tool call"  # the placeholder stands for its name


class RenderError(InputError):
    """The model's chat template cannot render a chat."""


@dataclass(frozen=True)
class Rendered:
    """A chat as text. `message_spans` are the texts of messages in it that might hold control tokens."""

    text: str
    message_spans: tuple[Span, ...] = ()

    def cut_part(self, start: int, end: int | None = None) -> "Rendered":
        """Return the text between two positions, with its spans."""
        last = len(self.text) if end is None else end
        spans = ((max(a, start) - start, min(b, last) - start) for a, b in self.message_spans)
        return Rendered(self.text[start:last], tuple((a, b) for a, b in spans if a < b))


def render_prompt(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> Rendered:
    """Return the text up to the start of the assistant's answer."""
    return render_chat(tokenizer, messages, answered=False).rendered


def render_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> Rendered:
    """Return the whole text, with the assistant's answer and its end-of-turn token."""
    thinking = split_answer(messages[-1]["content"]).reasoning is not None
    return render_chat(tokenizer, messages, answered=True, thinking=thinking).rendered


@dataclass(frozen=True)
class Chat:
    """A chat as text. `owners` has the message number and the part (such as content) of each of its `message_spans`."""

    rendered: Rendered
    owners: tuple[tuple[int, str], ...]


class _Marks:
    """Numbered placeholders for message texts. A placeholder can be found again wherever the template writes it.

    Texts that might hold a control token get one, because some templates change texts: Qwen3's removes what looks like
    reasoning, even from a hostile comment. With `mark_all`, all texts get one, so that their positions are known.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", mark_all: bool) -> None:
        self.tokenizer = tokenizer
        self.first_letters = _list_first_letters(tokenizer)
        self.mark_all = mark_all
        self.texts: list[str] = []
        self.owners: list[tuple[int, str]] = []

    def mark_content(self, message: int, text: str) -> str:
        """Return the content of a message, or its placeholder."""
        if not (_may_hold_control_token(self.tokenizer, text, self.first_letters) or (self.mark_all and text)):
            return text
        return MARK.format(self._add_mark(message, "content", text))

    def mark_part(self, message: int, kind: str, text: str) -> str:
        """Return a placeholder for reasoning or for the name of a tool. The template may leave it out."""
        return f"\ue000{self._add_mark(message, kind, text)}\ue001"

    def _add_mark(self, message: int, kind: str, text: str) -> int:
        self.texts.append(text)
        self.owners.append((message, kind))
        return len(self.texts) - 1


def render_chat(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Messages,
    *,
    answered: bool,
    thinking: bool = False,
    mark_all: bool = False,
) -> Chat:
    """Return the chat as text.

    - `answered`: the last message is an answer; otherwise the text ends where the answer would start
    - `thinking`: the answer starts with reasoning; templates without reasoning ignore this
    - `mark_all`: all message texts are in `message_spans`, not only those that might hold control tokens

    1. Replace message texts by placeholders. Reasoning and tool calls go into fields of their own.
    2. Render the template with a fixed date.
    3. Replace the placeholders by the texts. Strip a text on the sides where the template stripped its placeholder.

    Raises `RenderError` if the template raises an error, or leaves out a text that must be shown (`_check_shown`).
    """
    from jinja2 import TemplateError

    marks = _Marks(tokenizer, mark_all)
    turns = [_mark_message(tokenizer, marks, number, message) for number, message in enumerate(messages)]
    try:
        text = str(
            tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=not answered,
                enable_thinking=thinking,
                strftime_now=DATE.strftime,
            )
        )
    except (TemplateError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RenderError(f"the chat template cannot render it: {reason}") from None
    whole, *parts = re.split("( ?)\ue000([0-9]+)\ue001( ?)", text)  # text, space, number, space, text, ...
    spans, owners = [], []
    for before, number, after, rest in zip(*(iter(parts),) * 4, strict=True):
        text, owner = marks.texts[int(number)], marks.owners[int(number)]
        if owner[1] == "content":
            text = text if before else text.lstrip()
            text = text if after else text.rstrip()
        else:  # the template wrote these spaces
            whole, rest = whole + before, after + rest
        spans.append((len(whole), len(whole) + len(text)))
        owners.append(owner)
        whole += text + rest
    if answered:
        _check_shown(marks, owners, len(messages) - 1)
    return Chat(Rendered(whole, tuple(spans)), tuple(owners))


def _check_shown(marks: _Marks, shown: list[tuple[int, str]], last: int) -> None:
    """Raise `RenderError` if the template leaves out a text that has a placeholder.

    It may leave out the reasoning of answers before the last one, and white space.
    """
    for owner, text in zip(marks.owners, marks.texts, strict=True):
        number, kind = owner
        if number == last or kind == TOOL_CALL:
            complete = shown.count(owner) == marks.owners.count(owner)
        else:
            complete = kind == "reasoning" or owner in shown or not text.strip()
        if not complete:
            raise RenderError(f"the chat template leaves out the {kind} of message {number + 1}")


def _mark_message(
    tokenizer: "PreTrainedTokenizerBase", marks: _Marks, number: int, message: dict[str, str]
) -> dict[str, Any]:
    if message["role"] != "assistant":
        return {"role": message["role"], "content": marks.mark_content(number, message["content"])}
    answer = split_answer(message["content"])
    turn: dict[str, Any] = {"role": "assistant", "content": marks.mark_content(number, answer.content)}
    if answer.reasoning is not None:
        mark = marks.mark_part(number, "reasoning", answer.reasoning)
        # The field has different names in different model families.
        turn |= dict.fromkeys(("reasoning_content", "reasoning", "thinking"), mark)
    if answer.calls:
        for _, arguments in answer.calls:
            text = json.dumps(arguments, ensure_ascii=False)
            # Check the text as written, and as normalized by the tokenizer.
            forms = text if (normal := _normalize_text(tokenizer, text)) is None else f"{text}\n{normal}"
            if control := next((token for token in ("\ue000", *get_control_tokens(tokenizer)) if token in forms), None):
                raise RenderError(f"the arguments of a tool call hold {control!r}, a control token of the model")
        turn["tool_calls"] = [
            {
                "id": f"{call:09d}",  # Mistral requires nine letters or digits
                "type": "function",
                "function": {"name": marks.mark_part(number, TOOL_CALL, name), "arguments": arguments},
            }
            for call, (name, arguments) in enumerate(answer.calls)
        ]
    return turn


def _may_hold_control_token(tokenizer: Any, content: str, first_letters: frozenset[str]) -> bool:  # noqa: ANN401 (hides its backend)
    """Return whether a text may hold a control token, as written or after the tokenizer has normalized it.

    A normalizer may turn other letters into those of a control token: `\uff1cs\uff1e` becomes `<s>`, and `[inst]`
    becomes `[INST]`.
    """
    if first_letters & set(content):
        return True
    normal = _normalize_text(tokenizer, content)
    return normal is not None and bool(first_letters & set(normal))


def _normalize_text(tokenizer: Any, text: str) -> str | None:  # noqa: ANN401 (its class hides the backend)
    """Return a text as the tokenizer normalizes it; None if it has no normalizer."""
    normalizer = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast else None
    return None if normalizer is None else normalizer.normalize_str(text)


@lru_cache(maxsize=4)
def _list_first_letters(tokenizer: Any) -> frozenset[str]:  # noqa: ANN401 (its class hides the backend)
    """Return the first letters of control tokens, in upper and lower case, and that of `MARK`."""
    firsts = {token.lstrip()[:1] or token[:1] for token in get_control_tokens(tokenizer)}
    return frozenset({"\ue000"} | {form for first in firsts for form in (first, first.lower(), first.upper())})


def encode(tokenizer: "PreTrainedTokenizerBase", texts: list[Rendered]) -> list[list[int]]:
    """Return the tokens of each text. A common beginning, such as a long taxonomy, is encoded only once."""
    plain = [rendered.text for rendered in texts]
    shared = _find_shared_start(plain)
    head = _tokenize_texts(tokenizer, [plain[0][:shared]])[0] if shared else []
    tails = _tokenize_texts(tokenizer, [text[shared:] for text in plain])
    if shared and head + tails[0] != _tokenize_texts(tokenizer, plain[:1])[0]:
        head, tails = [], _tokenize_texts(tokenizer, plain)
    return [
        _encode_protected(tokenizer, rendered) if rendered.message_spans else head + tail
        for rendered, tail in zip(texts, tails, strict=True)
    ]


def find_common_length(sequences: Sequence[Sequence[Any]]) -> int:
    """Return the length of the common beginning of all sequences."""
    first, last = min(sequences), max(sequences)  # type: ignore[type-var]
    pairs = enumerate(zip(first, last, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(last)))


def find_common_prefix(tokenizer: "PreTrainedTokenizerBase", chats: list[Messages]) -> list[int]:
    """Return the common first tokens of the prompts of all `chats`."""
    prompts = encode(tokenizer, [render_prompt(tokenizer, chat) for chat in chats])
    return prompts[0][: find_common_length(prompts)]


def _find_shared_start(texts: list[str]) -> int:
    """Return the length of the whole lines that all texts start with, without the last such line.

    It is 0 if there is only one text or one such line.
    """
    common = texts[0][: find_common_length(texts)] if len(texts) > 1 else ""
    return common.rfind("\n", 0, max(common.rfind("\n"), 0)) + 1


def _tokenize_texts(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    encoded: Any = tokenizer(texts, add_special_tokens=False, verbose=False)
    return encoded["input_ids"]


@lru_cache(maxsize=4)
def get_control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """Return the control tokens, such as `<|im_end|>`, by their text. Tokenizers find them in a text first."""
    return {token.content: token for token in tokenizer.added_tokens_decoder.values()}


def make_control_token_bias(tokenizer: "PreTrainedTokenizerBase") -> dict[int, float]:
    """Return a logit bias that prevents all control tokens except the end-of-text token.

    vLLM's grammars treat a control token as its letters, and a quoted comment may contain these.
    """
    return {token: -100.0 for token in tokenizer.added_tokens_decoder if token != tokenizer.eos_token_id}


def _encode_protected(tokenizer: Any, rendered: Rendered) -> list[int]:  # noqa: ANN401
    """Return the tokens of a text. Its message spans become no control tokens, whatever they contain."""
    controls = get_control_tokens(tokenizer)
    # Like the tokenizer: find the control tokens first, then encode the text between them.
    pattern = re.compile("|".join(re.escape(token) for token in sorted(controls, key=len, reverse=True)))
    outside = rendered.text
    for a, b in rendered.message_spans:
        outside = outside[:a] + "\0" * (b - a) + outside[b:]
    ids: list[int] = []
    start, strip = 0, False
    for match in [*pattern.finditer(outside), None]:
        end = match.start() if match else len(rendered.text)
        control = controls[match.group()] if match else None
        between = rendered.text[start:end]
        between = between.lstrip() if strip else between
        between = between.rstrip() if control and control.lstrip else between
        ids += _encode_plain_text(tokenizer, between)
        if match and control:
            ids += tokenizer.convert_tokens_to_ids([match.group()])
            start, strip = match.end(), control.rstrip
    return ids


def _encode_plain_text(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401 (its class hides the backend)
    """Return the tokens of a text as plain text, without control tokens."""
    if not text:
        return []
    ids = _remove_control_tokens(tokenizer).encode(text, add_special_tokens=False).ids
    if wrong := _list_control_ids(tokenizer).intersection(ids):
        token = tokenizer.convert_ids_to_tokens(min(wrong))
        raise InputError(f"the tokenizer encodes plain text as its control token {token!r}; use another model")
    return ids


@lru_cache(maxsize=4)
def _list_control_ids(tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 (its class hides the backend)
    """Return the ids of the control tokens: all added tokens except white space and the unknown token.

    Some tokenizers (Gemma) add tokens for runs of line feeds and spaces, which have no special meaning. An unknown
    token that also begins or ends texts or turns is a control token.
    """
    ends = (tokenizer.bos_token, tokenizer.eos_token)
    unknown = tokenizer.unk_token
    is_harmless = unknown and unknown not in ends and unknown not in (tokenizer.chat_template or "")
    return frozenset(
        number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.content.strip() and not (is_harmless and token.content == unknown)
    )


@lru_cache(maxsize=4)
def _remove_control_tokens(tokenizer: Any) -> "Tokenizer":  # noqa: ANN401 (its class hides the backend)
    """Return a copy of the tokenizer that has no control tokens.

    Removing the added tokens is not enough: the vocabulary may list control tokens as pieces of words. Unigram then
    finds `<s>` in plain text, WordPiece finds `[INST]` if its words end at spaces, and BPE finds both if it takes whole
    words (`ignore_merges`). So they get random secret names in the vocabulary, which no text can contain.
    """
    from tokenizers import Tokenizer

    if not tokenizer.is_fast:
        raise InputError("the model has no fast tokenizer (library `tokenizers`); convert it to tokenizer.json")
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model, controls = state["model"], _list_control_ids(tokenizer)
    secret = secrets.token_hex(16)
    names = {tokenizer.convert_ids_to_tokens(number): f"\0 {secret} {number}" for number in controls}
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    else:  # Unigram: pieces with their scores
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if not {*pair, "".join(pair)} & names.keys()]
    return Tokenizer.from_str(json.dumps({**state, "added_tokens": [], "post_processor": None}))
