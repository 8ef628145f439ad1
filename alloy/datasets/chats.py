"""Read instruction data in the layouts of other tools as lists of chat messages.

- alpaca: `{instruction, input?, output, system?, history?}`; source.yaml may give other column names
- sharegpt: `{conversations: [{from, value}], system?}`
- openai: `{messages: [{role, content}]}`, or `{prompt, completion}`

Reasoning in a field of a turn, such as `reasoning_content`, becomes `<think>...</think>` at the start of the answer.
Rows with tools or tool calls are invalid. Other keys have no effect; `find_unused_keys` lists them.
"""

from collections.abc import Callable
from typing import Any

from alloy.core.files import Row, name_json_type
from alloy.core.unknown_keys import find_unknown_keys
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


REASONING = ("reasoning_content", "reasoning", "thinking")  # fields of a turn in different APIs
CALLS = ("tool_calls", "function_call")
TOOLS = ("tools", "functions")  # fields of a row
METADATA = ("source", "lang", "license")  # fields of a row that a canonical example has, too
# The lists of turns in a row of each layout, and the keys of a turn.
TURNS = {
    Layout.alpaca: ((), ()),
    Layout.sharegpt: (("conversations", "conversation"), ("from", "value")),
    Layout.openai: (("messages", "prompt", "completion"), ("role", "content")),
}


class NoAnswerError(ValueError):
    """A valid row without an answer to train on."""


def choose_reader(layout: Layout) -> Callable[[Row, Columns], Messages]:
    """Return the function that reads the messages of a row in this layout.

    The function raises `ValueError` for an invalid row, and `NoAnswerError` for a valid row without an answer.
    """
    return {Layout.alpaca: read_alpaca, Layout.sharegpt: read_sharegpt, Layout.openai: read_openai}[layout]


def list_known_keys(layout: Layout, columns: Columns) -> list[str]:
    """Return the keys of a row that are read in this layout; those of turns as `messages.role`."""
    lists, turn_keys = TURNS[layout]
    if layout is Layout.alpaca:
        keys = [columns.instruction, columns.input, columns.output, columns.system, "history"]
    else:
        keys = [*lists, "system"] if layout is Layout.sharegpt else [*lists]
    turns = [f"{name}.{key}" for name in lists for key in (*turn_keys, *REASONING)]
    return [*keys, columns.category, *METADATA, *turns]


def find_unused_keys(row: Row, layout: Layout, known: frozenset[str]) -> set[str]:
    """Return the keys of a valid row that are not in `known` (`list_known_keys`)."""
    unused = set(find_unknown_keys(row, known))
    lists = [name for name in TURNS[layout][0] if row.get(name) is not None]
    if lists[:1] in (["messages"], ["conversations"]):  # the others are read only without these
        unused |= set(lists[1:])
        del lists[1:]
    turns = [(name, turn) for name in lists if isinstance(row[name], list) for turn in row[name]]
    return unused | {
        f"{name}.{key}"
        for name, turn in turns
        for key in turn
        if f"{name}.{key}" not in known and turn[key] is not None
    }


def read_alpaca(row: Row, columns: Columns) -> Messages:
    """Return the messages of an instruction and its answer. The input follows after an empty line."""
    _refuse_tools(row)
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
    _refuse_tools(row)
    turns = row.get("conversations", row.get("conversation"))
    if not isinstance(turns, list):
        raise ValueError(
            f"`conversations`: expected a list of {{from, value}}; the row has {', '.join(row) or 'no keys'}"
        )
    system = _read_text(row, "system")
    first = [("system", system)] if system else []
    return _end_with_answer(first + [_read_turn(turn, "from", "value") for turn in turns])


def read_openai(row: Row, _columns: Columns) -> Messages:
    """Return the messages of a chat. Contents that are lists of text parts are joined."""
    _refuse_tools(row)
    if "messages" not in row and {"prompt", "completion"} <= row.keys():
        sides = [row["prompt"], row["completion"]]
        parts = [value if isinstance(value, list) else None for value in sides]
        if None not in parts:
            return _end_with_answer([_read_turn(turn, "role", "content") for side in sides for turn in side])
        return _end_with_answer([("user", _read_text(row, "prompt")), ("assistant", _read_text(row, "completion"))])
    turns = row.get("messages")
    if not isinstance(turns, list):
        raise ValueError(f"`messages`: expected a list of {{role, content}}; the row has {', '.join(row) or 'no keys'}")
    return _end_with_answer([_read_turn(turn, "role", "content") for turn in turns])


def _read_turn(turn: Any, role_key: str, text_key: str) -> tuple[str, str]:  # noqa: ANN401 (any JSON value)
    """Return role and text of a turn. The text of an answer starts with its reasoning, if it has some."""
    role = _read_role(turn, role_key)
    text, reasoning = _read_content(turn, text_key), _read_reasoning(turn)
    if not reasoning or not text.strip():
        return role, text
    if role != "assistant":
        raise ValueError(f"a turn of the {role} has reasoning; remove it, or the row")
    if "think>" in f"{reasoning}{text}".lower():
        raise ValueError("a turn has reasoning in a field and `<think>` tags in its text; keep one, or remove the row")
    return role, f"<think>\n{reasoning}\n</think>\n\n{text}"


def _read_reasoning(turn: Row) -> str:
    """Return the reasoning in the fields of a turn. Services may give the same in several fields."""
    values = {_read_text(turn, key).strip() for key in REASONING} - {""}
    if len(values) > 1:
        raise ValueError(f"{', '.join(f'`{key}`' for key in REASONING)}: a turn has different reasoning; keep one")
    return values.pop() if values else ""


def _refuse_tools(row: Row) -> None:
    if key := next((key for key in TOOLS if row.get(key) not in (None, "", "[]", [], {})), None):
        raise ValueError(f"`{key}`: a row with tools cannot be trained on as text; remove the key or the row")


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
    if any(turn.get(key) for key in CALLS):
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
