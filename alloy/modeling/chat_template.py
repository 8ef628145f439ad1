"""Chat messages, the text that a model's chat template makes of them, and its tokens.

What a message says never becomes a control token: a comment that holds `<|im_end|>` holds ten characters, in training
and in inference alike. Only the template opens and closes turns.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]
Span = tuple[int, int]
MARK = " \ue000{}\ue001 "  # stands for what a message says; some templates take away the spaces around


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
    return _render(tokenizer, messages, add_generation_prompt=True)


def render_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> Rendered:
    """Return the whole text, the assistant's answer and its end-of-turn token included."""
    return _render(tokenizer, messages, add_generation_prompt=False)


def _render(tokenizer: "PreTrainedTokenizerBase", messages: Messages, *, add_generation_prompt: bool) -> Rendered:
    # A mark stands for what could hold a control token: a template that changes what is said, as Qwen3's takes out
    # thoughts, would also do so where a comment is hostile.
    careful = _first_letters(tokenizer)
    marked = [
        {**message, "content": MARK.format(place)} if _needs_care(tokenizer, message["content"], careful) else message
        for place, message in enumerate(messages)
    ]
    # Without thoughts, as training shows an answer; a template that knows none does not look at it.
    text = str(
        tokenizer.apply_chat_template(
            marked, tokenize=False, add_generation_prompt=add_generation_prompt, enable_thinking=False
        )
    )
    whole, *parts = re.split("( ?)\ue000([0-9]+)\ue001( ?)", text)  # text, space, place, space, text, ..
    spans = []
    for before, place, behind, rest in zip(*(iter(parts),) * 4, strict=True):
        content = messages[int(place)]["content"]
        content = content if before else content.lstrip()
        content = content if behind else content.rstrip()
        spans.append((len(whole), len(whole) + len(content)))
        whole += content + rest
    return Rendered(whole, tuple(spans))


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


def encode_examples(rows: list[Row], tokenizer: "PreTrainedTokenizerBase") -> tuple[list[list[int]], list[list[int]]]:
    """Return the tokens of each row's prompt and of its completion, the last message with its end of turn."""
    prompts = [render_prompt(tokenizer, row["messages"][:-1]) for row in rows]
    wholes = [render_example(tokenizer, row["messages"]) for row in rows]
    for row, prompt, whole in zip(rows, prompts, wholes, strict=True):
        if not whole.text.startswith(prompt.text):
            raise InputError(
                f"row '{row['id']}': the chat template renders the prompt differently with the answer behind it; "
                "take a template whose generation prompt is the start of the assistant's turn"
            )
    completions = [
        whole.part(len(prompt.text), len(whole.text.removesuffix("\n")))
        for prompt, whole in zip(prompts, wholes, strict=True)
    ]
    return encode(tokenizer, prompts), encode(tokenizer, completions)


def count_tokens(rows: list[Row], tokenizer: "PreTrainedTokenizerBase") -> "np.ndarray":
    """Return (rows, 2): the tokens of each example, and those of its completion, which the loss is taken over."""
    import numpy as np

    pairs = zip(*encode_examples(rows, tokenizer), strict=True)
    counts = [(len(prompt) + len(completion), len(completion)) for prompt, completion in pairs]
    return np.array(counts, np.int64).reshape(-1, 2)
