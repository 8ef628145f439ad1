"""Reasoning and tool calls in the text of assistant messages.

Public chat data writes them into `content`, in the format of the model that generated it: `<think>...</think>` before
the answer, `<tool_call>{"name": ..., "arguments": ...}</tool_call>` after it. A chat template expects them in separate
fields, and writes them with the tokens of its own model. Only assistant messages are parsed; in other messages such
markup is plain text.

Markup that is not parsed would be trained as letters. `find_markup` finds three kinds of it:

1. Markup that no prose contains, such as `<|python_tag|>`: anywhere in the text.
2. Tags that are ordinary words, such as `<analysis>` or `<Thought>`: only if a line starts with the tag and the tag is
   closed. An answer may mention them.
3. Control tokens of the tokenizer: anywhere in the text.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TAGS = "think|thinking|thought|reasoning|seed:think"
_ALL_TAGS = f"{_TAGS}|thoughts|longcat_think|inner_monologue"
_REASONING = re.compile(
    rf"\s*(?:<({_ALL_TAGS})\s*>(.*?)</\1\s*>|\[THINK\](.*?)\[/THINK\]|\u25c1think\u25b7(.*?)\u25c1/think\u25b7|"
    r"<\|begin_of_thought\|>(.*?)<\|end_of_thought\|>|<\|START_THINKING\|>(.*?)<\|END_THINKING\|>|"
    r"<\|thinking\|>(.*?)<\|/thinking\|>|<\|channel>thought\b(.*?)<channel\|>)\s*",
    re.S | re.I,
)
_CALL = re.compile(r"\s*<(tool_call|function_call)>(.*?)</\1>\s*", re.S)
_WORDS = "think|thought|reason|tool|function|plugin|action|channel|python_tag|observation|interpreter|call|response"
_AFTER_ANGLE = (
    rf"/?(?:{_TAGS})>",
    r"(?i:/?(?:think|longcat_think|seed:think|minimax:tool_call|tool_?calls?|tool_code|tool_outputs?|tool_response|"
    r"function_?calls?|(?:start|end)_function_(?:call|response|declaration))\s*>)",
    r"/?unused9[45]>",  # reasoning of MedGemma
    r"function=",
    r"(?i:invoke\s+name=[^<>\s]+>|details\s+type=.?reasoning\b)",
    rf"(?i:[|\uff5c]/?[^|\uff5c<>\s]*(?:{_WORDS})[^|\uff5c<>\s]*[|\uff5c]?>)",
    r"\uff5ctool[^\uff5c>]*\uff5c>",  # DeepSeek's tokens have a full-width bar
    rf"(?i:(?:{_WORDS})[a-z_]*\|>)",
    rf"(?:(?<=^<)(?P<tag>(?i:{_ALL_TAGS}|analysis|scratch_?pad|reflection))\b[^<>]*>(?=(?s:.*?)</(?i:(?P=tag))\s*>))",
)
_MARKUP = re.compile(
    # A search is fast if the pattern starts with a set of characters.
    rf"[<\[\u25c1`](?:(?<=<)(?:{'|'.join(_AFTER_ANGLE)})|"
    r"(?<=\[)(?:/?THINK\]|(?:BEGIN|END)[ _]THINKING\]|TOOL_(?:CALLS|RESULTS)\])|"
    r"(?<=\u25c1)/?think\u25b7|(?<=^`)``tool_(?:code|call|output)s?\b)",
    re.M,
)
# Added tokens that are not control tokens: letters and runs of spaces, and tags of HTML that are not special (Gemma).
_IN_BRACKETS = re.compile(r"[^\w\s].+[^\w\s]", re.S)
_HTML = re.compile(
    r"</?(?:a|b|i|u|s|p|em|br|hr|tr|th|td|ul|ol|li|h[1-6]|sub|sup|div|pre|img|code|span|bbox|html|body|table|thead|"
    r"tbody|tfoot|strong|caption|center|blockquote)>"
)
# Fields for reasoning and tool calls in other chat formats. A general example must not have them.
FIELDS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")


@dataclass(frozen=True)
class Answer:
    """A parsed assistant message: `content`, optional `reasoning`, and (name, arguments) of each tool call."""

    content: str
    reasoning: str | None = None
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


def split_answer(text: str) -> Answer:
    """Parse the text of an assistant message. Markup that is incomplete or in another position stays text."""
    reasoning = None
    if match := _REASONING.match(text):
        reasoning = next(part for part in match.groups()[1:] if part is not None).strip()
        text = text[match.end() :]
    start = min((at for tag in ("<tool_call>", "<function_call>") if (at := text.find(tag)) >= 0), default=-1)
    if start < 0:
        return Answer(text, reasoning)
    calls = []
    position = start
    while match := _CALL.match(text, position):
        call = _read_call(match[2])
        if call is None:
            break
        calls.append(call)
        position = match.end()
    return Answer(text[:start].rstrip(), reasoning, tuple(calls)) if position == len(text) else Answer(text, reasoning)


def _read_call(text: str) -> tuple[str, dict[str, Any]] | None:
    try:
        call = json.loads(text)
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = call.get("arguments", call.get("parameters", {}))
    return (call["name"], arguments) if isinstance(arguments, dict) else None


def find_markup(message: dict[str, Any], controls: "re.Pattern[str] | None" = None) -> str | None:
    """Return markup of an assistant message that training would treat as plain text, or the field that holds it.

    `controls` finds the control tokens of the tokenizer (`compile_control_tokens`). Returns None if there is none.
    """
    if field := next((name for name in FIELDS if message.get(name)), None):
        return field
    answer = split_answer(message["content"])
    texts = (answer.reasoning or "", answer.content, *(json.dumps(call, ensure_ascii=False) for call in answer.calls))
    return next((markup for text in texts if (markup := _search_markup(text, controls))), None)


def has_markup(message: dict[str, Any], controls: "re.Pattern[str] | None" = None) -> bool:
    """Return whether an assistant message holds reasoning, a tool call or a control token, parsed or not."""
    return _search_markup(message["content"], controls) is not None or any(message.get(name) for name in FIELDS)


def _search_markup(text: str, controls: "re.Pattern[str] | None") -> str | None:
    match = _MARKUP.search(text.lstrip()) or (controls and controls.search(text))
    return match[0] if match else None


@lru_cache(maxsize=4)
def compile_control_tokens(tokenizer: "PreTrainedTokenizerBase") -> "re.Pattern[str]":
    """Return a pattern for the control tokens of a tokenizer, such as `<|im_end|>`.

    Numbers stand for all numbers: Gemma has 6,000 tokens such as `<unused17>`, and one pattern for all of them is fast.
    """
    tokens = (token for token in tokenizer.added_tokens_decoder.values() if token.content != tokenizer.unk_token)
    controls = (token.content for token in tokens if token.special or not _HTML.fullmatch(token.content))
    forms = {re.sub(r"\d+", r"\\d+", re.escape(text)) for text in controls if _IN_BRACKETS.fullmatch(text)}
    return re.compile("|".join(sorted(forms, key=len, reverse=True)) or r"(?!)")
