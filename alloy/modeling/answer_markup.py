"""Reasoning and tool calls that an assistant's message holds as text, and what they are to a chat template.

Public chats write them into `content`, in the form of the model that made them: `<think>..</think>` before the answer,
`<tool_call>{"name": .., "arguments": {..}}</tool_call>` after it. A chat template takes them in fields of their own and
writes the tokens of its own model. Only an assistant's message is read so: what users and tools say is text.
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
# What is left of such markup in a text that `split_answer` could not read.
_MARKUP = re.compile(
    rf"</?(?:{_TAGS}|tool_calls?|function_calls?|functioncall|tool_response|minimax:tool_call)>|<function=|"
    r"\[/?THINK\]|\[TOOL_CALLS\]|\[TOOL_RESULTS\]|"
    r"<\|(?:begin_of_thought|end_of_thought|python_tag|channel|tool[a-z_]*)\|>|<\uff5ctool[^\uff5c>]*\uff5c>"
)
# Fields in which chats of other forms keep them, of which a general example has none.
FIELDS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")


@dataclass(frozen=True)
class Answer:
    """An assistant's message: `content`, the `reasoning` before it if there is some, and (name, arguments) of calls."""

    content: str
    reasoning: str | None = None
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


def split_answer(text: str) -> Answer:
    """Return the parts of what an assistant says; markup that is not whole, or not in its place, stays text."""
    reasoning = None
    if found := _REASONING.match(text):
        reasoning = next(part for part in found.groups()[1:] if part is not None).strip()
        text = text[found.end() :]
    start = min((place for tag in ("<tool_call>", "<function_call>") if (place := text.find(tag)) >= 0), default=-1)
    if start < 0:
        return Answer(text, reasoning)
    calls = []
    place = start
    while found := _CALL.match(text, place):
        call = _read_call(found[2])
        if call is None:
            break
        calls.append(call)
        place = found.end()
    return Answer(text[:start].rstrip(), reasoning, tuple(calls)) if place == len(text) else Answer(text, reasoning)


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
    """Return markup in an assistant's message that would be taught as letters, or the name of such a field; or None."""
    if field := next((name for name in FIELDS if message.get(name)), None):
        return field
    answer = split_answer(message["content"])
    texts = (answer.reasoning or "", answer.content, *(json.dumps(call, ensure_ascii=False) for call in answer.calls))
    return next((found[0] for text in texts if (found := _MARKUP.search(text))), None)


def has_markup(message: dict[str, Any]) -> bool:
    """Say whether an assistant's message holds reasoning or a tool call in any form, read or not."""
    return _MARKUP.search(message["content"]) is not None or any(message.get(name) for name in FIELDS)
