"""Chat messages, the text that a model's chat template makes of them, and its tokens.

What a message says never becomes a control token: a comment that holds `<|im_end|>` holds ten characters, in training
and in inference alike. Only the template opens and closes turns.
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
MARK = " \ue000{}\ue001 "  # stands for what a message says; some templates take away the spaces around
# Today's date to every template that writes one: an example has the same tokens on any day. It is Llama's own default.
DATE = datetime(2024, 7, 26)
TOOL_CALL = "tool call"  # what is marked of one is its name


class RenderError(InputError):
    """A chat that the model's chat template cannot put into its form."""


@dataclass(frozen=True)
class Rendered:
    """A chat as text. `given` are the parts of it that messages say; none where nothing in them needs care."""

    text: str
    given: tuple[Span, ...] = ()

    def part(self, start: int, end: int | None = None) -> "Rendered":
        """Return the text between two places."""
        last = len(self.text) if end is None else end
        spans = ((max(a, start) - start, min(b, last) - start) for a, b in self.given)
        return Rendered(self.text[start:last], tuple((a, b) for a, b in spans if a < b))


def render_prompt(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> Rendered:
    """Return the text up to where the assistant's answer begins."""
    return render_chat(tokenizer, messages, answered=False).rendered


def render_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> Rendered:
    """Return the whole text, the assistant's answer and its end-of-turn token included."""
    thinking = split_answer(messages[-1]["content"]).reasoning is not None
    return render_chat(tokenizer, messages, answered=True, thinking=thinking).rendered


@dataclass(frozen=True)
class Chat:
    """A chat as text; `owners` has for each of its given parts the message that says it, and which part of that."""

    rendered: Rendered
    owners: tuple[tuple[int, str], ...]


class _Marks:
    """The marks that stand for what messages say, by their numbers: a mark is found again wherever a template put it.

    A mark stands for what could hold a control token: a template that changes what is said, as Qwen3's takes out
    thoughts, would also do so where a comment is hostile. `every` text has one where its place is to be known.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", every: bool) -> None:
        self.tokenizer = tokenizer
        self.careful = _first_letters(tokenizer)
        self.every = every
        self.texts: list[str] = []
        self.owners: list[tuple[int, str]] = []

    def content(self, place: int, text: str) -> str:
        """Return what stands for the content of message `place`."""
        if not (_needs_care(self.tokenizer, text, self.careful) or (self.every and text)):
            return text
        return MARK.format(self._number(place, "content", text))

    def part(self, place: int, kind: str, text: str) -> str:
        """Return the mark of reasoning or of a tool's name, which is not there unless the template writes it."""
        return f"\ue000{self._number(place, kind, text)}\ue001"

    def _number(self, place: int, kind: str, text: str) -> int:
        self.texts.append(text)
        self.owners.append((place, kind))
        return len(self.texts) - 1


def render_chat(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Messages,
    *,
    answered: bool,
    thinking: bool = False,
    every: bool = False,
) -> Chat:
    """Return the chat as text: `answered`, or up to where the assistant's answer begins.

    `thinking`: the answer begins with thoughts; without, it is asked for as training shows it, and a template that
    knows no thoughts does not look at it. `every`: all that messages say are given parts. What the template raises, and
    an answer of which it leaves a part out, raise `RenderError`.

    1. Put marks in the place of what messages say, and hand reasoning and tool calls over in fields of their own.
    2. Render, on a fixed date.
    3. Put back what the marks stand for, less the spaces that the template took away around them.
    """
    from jinja2 import TemplateError

    marks = _Marks(tokenizer, every)
    turns = [_turn(tokenizer, marks, place, message) for place, message in enumerate(messages)]
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
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RenderError(f"the chat template refuses it: {reason}") from None
    whole, *parts = re.split("( ?)\ue000([0-9]+)\ue001( ?)", text)  # text, space, number, space, text, ..
    spans, owners = [], []
    for before, number, behind, rest in zip(*(iter(parts),) * 4, strict=True):
        said, owner = marks.texts[int(number)], marks.owners[int(number)]
        if owner[1] == "content":
            said = said if before else said.lstrip()
            said = said if behind else said.rstrip()
        else:  # these spaces are the template's own
            whole, rest = whole + before, behind + rest
        spans.append((len(whole), len(whole) + len(said)))
        owners.append(owner)
        whole += said + rest
    if answered:
        _check_answer(marks, owners, len(messages) - 1)
    return Chat(Rendered(whole, tuple(spans)), tuple(owners))


def _check_answer(marks: _Marks, shown: list[tuple[int, str]], last: int) -> None:
    """Raise `RenderError` unless the template shows all of the last answer, and all tool calls.

    It may leave out of earlier answers what a model is not to read again, such as thoughts.
    """
    for place, kind in marks.owners:
        if (place == last or kind == TOOL_CALL) and shown.count((place, kind)) != marks.owners.count((place, kind)):
            raise RenderError(f"the chat template has no place for the {kind} of message {place + 1}")


def _turn(tokenizer: "PreTrainedTokenizerBase", marks: _Marks, place: int, message: dict[str, str]) -> dict[str, Any]:
    if message["role"] != "assistant":
        return {"role": message["role"], "content": marks.content(place, message["content"])}
    answer = split_answer(message["content"])
    turn: dict[str, Any] = {"role": "assistant", "content": marks.content(place, answer.content)}
    if answer.reasoning is not None:
        mark = marks.part(place, "reasoning", answer.reasoning)
        turn |= dict.fromkeys(("reasoning_content", "reasoning", "thinking"), mark)  # families name it differently
    if answer.calls:
        for _, arguments in answer.calls:
            said = json.dumps(arguments, ensure_ascii=False)
            if control := next((token for token in ("\ue000", *control_tokens(tokenizer)) if token in said), None):
                raise RenderError(f"the arguments of a tool call hold {control!r}, a control token of the model")
        turn["tool_calls"] = [
            {
                "id": f"{number:09d}",  # nine letters or digits, as Mistral wants them
                "type": "function",
                "function": {"name": marks.part(place, TOOL_CALL, name), "arguments": arguments},
            }
            for number, (name, arguments) in enumerate(answer.calls)
        ]
    return turn


def _needs_care(tokenizer: Any, content: str, careful: frozenset[str]) -> bool:  # noqa: ANN401 (hides its backend)
    """Return whether a text may hold a control token, as it is written or once the tokenizer has normalized it.

    A normalizer may make the letters of one out of others: `\uff1cs\uff1e` becomes `<s>`, and `[inst]` is `[INST]`.
    """
    if careful & set(content):
        return True
    normalizer = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast and not content.isascii() else None
    return normalizer is not None and bool(careful & set(normalizer.normalize_str(content)))


@lru_cache(maxsize=4)
def _first_letters(tokenizer: Any) -> frozenset[str]:  # noqa: ANN401 (hides its backend)
    """Return the letters that control tokens begin with, in both cases, and that of `MARK`."""
    firsts = {token.lstrip()[:1] or token[:1] for token in control_tokens(tokenizer)}
    return frozenset({"\ue000"} | {form for first in firsts for form in (first, first.lower(), first.upper())})


def encode(tokenizer: "PreTrainedTokenizerBase", texts: list[Rendered]) -> list[list[int]]:
    """Return the tokens of each text; what all begin with, which may be a long taxonomy, is encoded once."""
    plain = [rendered.text for rendered in texts]
    cut = _cut(plain)
    head = _ids(tokenizer, [plain[0][:cut]])[0] if cut else []
    tails = _ids(tokenizer, [text[cut:] for text in plain])
    if cut and head + tails[0] != _ids(tokenizer, plain[:1])[0]:
        head, tails = [], _ids(tokenizer, plain)
    return [
        _apart(tokenizer, rendered) if rendered.given else head + tail
        for rendered, tail in zip(texts, tails, strict=True)
    ]


def common_length(sequences: Sequence[Sequence[Any]]) -> int:
    """Return how many items all sequences begin with alike."""
    first, last = min(sequences), max(sequences)  # type: ignore[type-var]
    pairs = enumerate(zip(first, last, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(last)))


def common_prefix(tokenizer: "PreTrainedTokenizerBase", chats: list[Messages]) -> list[int]:
    """Return the tokens that the prompts of all `chats` begin with."""
    prompts = encode(tokenizer, [render_prompt(tokenizer, chat) for chat in chats])
    return prompts[0][: common_length(prompts)]


def _cut(texts: list[str]) -> int:
    """Return a place before which all texts are the same, with a whole line alike behind it, or 0."""
    common = texts[0][: common_length(texts)] if len(texts) > 1 else ""
    return common.rfind("\n", 0, max(common.rfind("\n"), 0)) + 1


def _ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    encoded: Any = tokenizer(texts, add_special_tokens=False, verbose=False)
    return encoded["input_ids"]


@lru_cache(maxsize=4)
def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """Return the tokens that are found in a text before any other, such as `<|im_end|>`: `tokenizers.AddedToken`."""
    return {token.content: token for token in tokenizer.added_tokens_decoder.values()}


def bias_against_control(tokenizer: "PreTrainedTokenizerBase") -> dict[int, float]:
    """Return a bias on logits that lets no control token be written but the end's.

    To a grammar in vLLM such a token is the letters that it is written with, which a comment may hold.
    """
    return {token: -100.0 for token in tokenizer.added_tokens_decoder if token != tokenizer.eos_token_id}


def _apart(tokenizer: Any, rendered: Rendered) -> list[int]:  # noqa: ANN401
    """Return the tokens of a text whose given parts hold no control tokens, whatever they say."""
    controls = control_tokens(tokenizer)
    # As the tokenizer does it: first the control tokens, the text between them by itself.
    found = re.compile("|".join(re.escape(token) for token in sorted(controls, key=len, reverse=True)))
    outside = rendered.text
    for a, b in rendered.given:
        outside = outside[:a] + "\0" * (b - a) + outside[b:]
    ids: list[int] = []
    start, strip = 0, False
    for match in [*found.finditer(outside), None]:
        end = match.start() if match else len(rendered.text)
        control = controls[match.group()] if match else None
        between = rendered.text[start:end]
        between = between.lstrip() if strip else between
        between = between.rstrip() if control and control.lstrip else between
        ids += _plain_ids(tokenizer, between)
        if match and control:
            ids += tokenizer.convert_tokens_to_ids([match.group()])
            start, strip = match.end(), control.rstrip
    return ids


def _plain_ids(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401 (its class hides the backend)
    """Return the tokens of a text, none of which is a control token."""
    if not text:
        return []
    ids = _plain(tokenizer).encode(text, add_special_tokens=False).ids
    if wrong := _control_ids(tokenizer).intersection(ids):
        token = tokenizer.convert_ids_to_tokens(min(wrong))
        raise InputError(f"the tokenizer makes its control token {token!r} of plain text; take another model")
    return ids


@lru_cache(maxsize=4)
def _control_ids(tokenizer: Any) -> frozenset[int]:  # noqa: ANN401 (its class hides the backend)
    """Return the ids of tokens that plain text must not become: all that are added, but white space and the unknown.

    Some tokenizers (Gemma) add runs of line feeds and spaces, which command nothing.
    """
    return frozenset(
        number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.content.strip() and token.content != tokenizer.unk_token
    )


@lru_cache(maxsize=4)
def _plain(tokenizer: Any) -> "Tokenizer":  # noqa: ANN401 (its class hides the backend)
    """Return the tokenizer without any control token.

    A vocabulary may list its control tokens among the pieces of words. Unigram then finds `<s>` in plain text,
    WordPiece `[INST]` if its words end at spaces, BPE both if it takes whole words (`ignore_merges`). So they are
    renamed there, each by its number, into what no text holds, since nobody can guess it.
    """
    from tokenizers import Tokenizer

    if not tokenizer.is_fast:
        raise InputError("the model's tokenizer is not one of the library tokenizers; convert it to tokenizer.json")
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model, controls = state["model"], _control_ids(tokenizer)
    secret = secrets.token_hex(16)
    names = {tokenizer.convert_ids_to_tokens(number): f"\0 {secret} {number}" for number in controls}
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    else:  # Unigram: pieces with their scores
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "merges" in model:
        pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if not {*pair, "".join(pair)} & names.keys()]
    return Tokenizer.from_str(json.dumps({**state, "added_tokens": [], "post_processor": None}))
