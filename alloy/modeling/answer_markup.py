"""Reasoning and tool calls in the text of assistant messages.

Public chat data writes them into `content`, in the format of the model that generated it: `<think>...</think>` before
the answer, `<tool_call>{"name": ..., "arguments": ...}</tool_call>` after it. A chat template expects them in separate
fields, and writes them with the tokens of its own model. Only assistant messages are parsed; in other messages such
markup is plain text.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

_TAGS = "think|thinking|thought|reasoning|seed:think"
_REASONING = re.compile(
    rf"\s*(?:<({_TAGS})>(.*?)</\1>|\[THINK\](.*?)\[/THINK\]|<\|begin_of_thought\|>(.*?)<\|end_of_thought\|>)\s*", re.S
)
_CALL = re.compile(r"\s*<(tool_call|function_call)>(.*?)</\1>\s*", re.S)
# Markup that `split_answer` could not parse.
_MARKUP = re.compile(
    rf"</?(?:{_TAGS}|tool_calls?|function_calls?|functioncall|tool_response|minimax:tool_call)>|<function=|"
    r"\[/?THINK\]|\[TOOL_CALLS\]|\[TOOL_RESULTS\]|"
    r"<\|(?:begin_of_thought|end_of_thought|python_tag|channel|tool[a-z_]*)\|>|<\uff5ctool[^\uff5c>]*\uff5c>"
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


def find_markup(message: dict[str, Any]) -> str | None:
    """Return markup of an assistant message that training would treat as plain text, or the field that holds it.

    Returns None if there is none.
    """
    if field := next((name for name in FIELDS if message.get(name)), None):
        return field
    answer = split_answer(message["content"])
    texts = (answer.reasoning or "", answer.content, *(json.dumps(call, ensure_ascii=False) for call in answer.calls))
    return next((match[0] for text in texts if (match := _MARKUP.search(text))), None)


def has_markup(message: dict[str, Any]) -> bool:
    """Return whether an assistant message holds reasoning or a tool call in any form, parsed or not."""
    return _MARKUP.search(message["content"]) is not None or any(message.get(name) for name in FIELDS)
