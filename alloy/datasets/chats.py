"""Instruction data in the layouts that other tools use, as lists of chat messages.

- alpaca: `{instruction, input?, output, system?, history?}`; other column names can be given
- sharegpt: `{conversations: [{from, value}], system?}`
- openai: `{messages: [{role, content}]}`, or `{prompt, completion}`
"""

from collections.abc import Callable
from typing import Any

from alloy.core.files import Row
from alloy.datasets.source import Columns, Layout

Messages = list[dict[str, str]]
SPEAKERS = {  # of sharegpt and of openai
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


class NoAnswer(ValueError):
    """The row is well formed, and nobody answers in it: nothing to learn from."""


def messages_of(layout: Layout) -> Callable[[Row, Columns], Messages]:
    """Return the function that reads the messages of a row in a layout.

    It raises `ValueError` with what is wrong, `NoAnswer` if the row only has no answer.
    """
    return {Layout.alpaca: alpaca, Layout.sharegpt: sharegpt, Layout.openai: openai}[layout]


def alpaca(row: Row, columns: Columns) -> Messages:
    """Return the messages of an instruction with its answer; the input follows the instruction after an empty line."""
    for column in (columns.instruction, columns.output):
        if column not in row:
            raise ValueError(f"no `{column}`; found {', '.join(row) or 'nothing'}")
    asked = [_text(row, columns.instruction), _text(row, columns.input)]
    said: list[tuple[str, str]] = [("system", _text(row, columns.system))] if _text(row, columns.system) else []
    history = row.get("history") or []
    if not isinstance(history, list | tuple):
        raise ValueError("`history` must be a list of [question, answer]")
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise ValueError("`history` must be a list of [question, answer]")
        said += [("user", pair[0]), ("assistant", pair[1])]
    question = "\n\n".join(text for text in asked if text)
    return _checked([*said, ("user", question), ("assistant", _text(row, columns.output))])


def sharegpt(row: Row, _columns: Columns) -> Messages:
    """Return the messages of a conversation."""
    turns = row.get("conversations", row.get("conversation"))
    if not isinstance(turns, list):
        raise ValueError(f"`conversations` must be a list of {{from, value}}; found {', '.join(row) or 'nothing'}")
    system = _text(row, "system")
    said = [("system", system)] if system else []
    return _checked(said + [(_speaker(turn, "from"), _content(turn, "value")) for turn in turns])


def openai(row: Row, _columns: Columns) -> Messages:
    """Return the messages of a chat; contents that are lists of text parts are joined."""
    if "messages" not in row and {"prompt", "completion"} <= row.keys():
        given = [row["prompt"], row["completion"]]
        parts = [value if isinstance(value, list) else None for value in given]
        if None not in parts:
            return _checked([(_speaker(turn, "role"), _content(turn, "content")) for part in given for turn in part])
        return _checked([("user", _text(row, "prompt")), ("assistant", _text(row, "completion"))])
    turns = row.get("messages")
    if not isinstance(turns, list):
        raise ValueError(f"`messages` must be a list of {{role, content}}; found {', '.join(row) or 'nothing'}")
    return _checked([(_speaker(turn, "role"), _content(turn, "content")) for turn in turns])


def _speaker(turn: Any, key: str) -> str:  # noqa: ANN401 (any JSON value)
    if not isinstance(turn, dict) or not isinstance(turn.get(key), str):
        raise ValueError(f"a turn has no `{key}`; expected {{{key}, ..}}")
    role = SPEAKERS.get(turn[key].strip().lower())
    if role is None:
        raise ValueError(f"`{key}` is {turn[key]!r}; expected one of {', '.join(SPEAKERS)}")
    return role


def _content(turn: Row, key: str) -> str:
    """Return what a turn says; null is nothing, as in a call of a tool."""
    value = turn.get(key)
    if turn.get("tool_calls") or turn.get("function_call"):
        raise ValueError("a turn calls a tool, which cannot be taught as text; leave such rows out of the file")
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError(f"`{key}` holds parts that are not text; leave such rows out of the file")
        return "".join(str(part) for part in parts)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}` is {type(value).__name__}; expected text")
    return value or ""


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}` is {type(value).__name__}; expected text")
    return value if value and value.strip() else ""


def _checked(said: list[tuple[str, str]]) -> Messages:
    """Return the messages up to the last answer; what a user says after it was never answered."""
    last = max((place for place, (role, text) in enumerate(said) if role == "assistant" and text.strip()), default=-1)
    kept = said[: last + 1]
    if not any(role == "user" and text.strip() for role, text in kept):
        raise NoAnswer("no question with an answer")
    if any(role == "user" and not text.strip() for role, text in kept):
        raise NoAnswer("a question is empty")
    return [{"role": role, "content": text} for role, text in kept]
