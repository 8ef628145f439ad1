"""Read instruction data in the layouts of other tools as lists of chat messages.

- alpaca: `{instruction, input?, output, system?, history?}`; source.yaml may give other column names
- sharegpt: `{conversations: [{from, value}], system?}`
- openai: `{messages: [{role, content}]}`, or `{prompt, completion}`
"""

from collections.abc import Callable
from typing import Any

from alloy.core.files import Row, name_json_type
from alloy.datasets.source import Columns, Layout

Messages = list[dict[str, str]]
ROLES = {  # speakers and roles in sharegpt and openai
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


class NoAnswerError(ValueError):
    """A valid row without an answer to train on."""


def choose_reader(layout: Layout) -> Callable[[Row, Columns], Messages]:
    """Return the function that reads the messages of a row in this layout.

    The function raises `ValueError` for an invalid row, and `NoAnswerError` for a valid row without an answer.
    """
    return {Layout.alpaca: read_alpaca, Layout.sharegpt: read_sharegpt, Layout.openai: read_openai}[layout]


def read_alpaca(row: Row, columns: Columns) -> Messages:
    """Return the messages of an instruction and its answer. The input follows after an empty line."""
    for column in (columns.instruction, columns.output):
        if column not in row:
            raise ValueError(f"expected a key `{column}`, got {', '.join(row) or 'no keys'}")
    question_parts = [_read_text(row, columns.instruction), _read_text(row, columns.input)]
    turns: list[tuple[str, str]] = (
        [("system", _read_text(row, columns.system))] if _read_text(row, columns.system) else []
    )
    history = row.get("history") or []
    if not isinstance(history, list | tuple):
        raise ValueError(f"`history`: expected a list of [question, answer], got {name_json_type(history)}")
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise ValueError(f"`history`: expected a list of [question, answer], got {pair!r} in it")
        turns += [("user", pair[0]), ("assistant", pair[1])]
    question = "\n\n".join(text for text in question_parts if text)
    return _end_with_answer([*turns, ("user", question), ("assistant", _read_text(row, columns.output))])


def read_sharegpt(row: Row, _columns: Columns) -> Messages:
    """Return the messages of a conversation."""
    turns = row.get("conversations", row.get("conversation"))
    if not isinstance(turns, list):
        raise ValueError(
            f"`conversations`: expected a list of {{from, value}}; the row has {', '.join(row) or 'no keys'}"
        )
    system = _read_text(row, "system")
    first = [("system", system)] if system else []
    return _end_with_answer(first + [(_read_role(turn, "from"), _read_content(turn, "value")) for turn in turns])


def read_openai(row: Row, _columns: Columns) -> Messages:
    """Return the messages of a chat. Contents that are lists of text parts are joined."""
    if "messages" not in row and {"prompt", "completion"} <= row.keys():
        sides = [row["prompt"], row["completion"]]
        parts = [value if isinstance(value, list) else None for value in sides]
        if None not in parts:
            return _end_with_answer(
                [(_read_role(turn, "role"), _read_content(turn, "content")) for side in sides for turn in side]
            )
        return _end_with_answer([("user", _read_text(row, "prompt")), ("assistant", _read_text(row, "completion"))])
    turns = row.get("messages")
    if not isinstance(turns, list):
        raise ValueError(f"`messages`: expected a list of {{role, content}}; the row has {', '.join(row) or 'no keys'}")
    return _end_with_answer([(_read_role(turn, "role"), _read_content(turn, "content")) for turn in turns])


def _read_role(turn: Any, key: str) -> str:  # noqa: ANN401 (any JSON value)
    if not isinstance(turn, dict) or not isinstance(turn.get(key), str):
        raise ValueError(f"a turn has no `{key}`; write {{{key}, ...}}")
    role = ROLES.get(turn[key].strip().lower())
    if role is None:
        raise ValueError(f"`{key}`: expected one of {', '.join(ROLES)}, got {turn[key]!r}")
    return role


def _read_content(turn: Row, key: str) -> str:
    """Return the text of a turn. Null counts as empty."""
    value = turn.get(key)
    if turn.get("tool_calls") or turn.get("function_call"):
        raise ValueError("a turn calls a tool, which cannot be trained on as text; remove the row")
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError(f"`{key}` has parts that are not text; remove the row")
        return "".join(str(part) for part in parts)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}`: expected a string, got {name_json_type(value)}")
    return value or ""


def _read_text(row: Row, key: str) -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}`: expected a string, got {name_json_type(value)}")
    return value if value and value.strip() else ""


def _end_with_answer(turns: list[tuple[str, str]]) -> Messages:
    """Return the messages up to the last answer; raise `NoAnswerError` without one. Later turns have no answer."""
    last = max((index for index, (role, text) in enumerate(turns) if role == "assistant" and text.strip()), default=-1)
    answered = turns[: last + 1]
    if not any(role == "user" and text.strip() for role, text in answered):
        raise NoAnswerError("no question with an answer")
    if any(role == "user" and not text.strip() for role, text in answered):
        raise NoAnswerError("a question is empty")
    return [{"role": role, "content": text} for role, text in answered]
