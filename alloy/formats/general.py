"""The canonical general example: `{id, category, source, lang?, license?, messages}`, a chat with its metadata."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, decode_lines, join_errors
from alloy.core.text import has_text, normalize_text
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

KEYS = ("id", "category", "source", "lang", "license", "messages")  # of a row; others have no effect
NAMES = ("source", "category")  # keys of a row by which rows are grouped
TURN_KEYS = ("role", "content")  # of a message
# Keys of a message in which other chat formats keep reasoning and tool calls.
MARKUP_KEYS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")
_KNOWN, _KNOWN_OF_TURN = frozenset(KEYS), frozenset(TURN_KEYS)
ROLES = ("system", "user", "assistant", "tool")
REJECTED = "rejected.jsonl"  # next to prepared examples: reports of the bad rows that were left out
CUSTOMER = "customer"  # the source of the customer examples in the mix


def read_general(path: Path) -> list[Row]:
    """Return the general examples of a file; all bad rows are raised as one `InputError`."""
    rows = [row for _, row in check_rows(path, set())]
    if errors := [str(row) for row in rows if isinstance(row, InputError)]:
        raise join_errors(errors)
    return [row for row in rows if not isinstance(row, InputError)]


def stream_general(path: Path, seen: set[str]) -> Iterator[Row]:
    """Yield the examples of a file, and add their ids to `seen`; the first bad row raises `InputError`."""
    for _, row in check_rows(path, seen):
        if isinstance(row, InputError):
            raise row
        yield row


def check_rows(path: Path, seen: set[str]) -> Iterator[tuple[int, Row | InputError]]:
    """Yield the number of each line with its example, or with the error of a bad row; add ids to `seen`.

    Source and category of the examples are normalized (`normalize_text`).
    """
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            yield number, row
        elif error := _check_with_id(row, seen):
            yield number, InputError(f"{path}:{number}: {error}")
        else:
            yield number, normalize_names(row)


def normalize_names(row: Row) -> Row:
    """Return a valid example with normalized source and category, which are compared."""
    return {**row, **{key: normalize_text(row[key]) for key in NAMES}}


def _check_with_id(row: Row, seen: set[str]) -> str | None:
    """Return what is wrong with an example, or None; also check that its id is not in `seen`, and add it there."""
    error = check_general(row)
    if not error and row["id"] in seen:
        error = f"duplicate id '{row['id']}'; ids must be unique"
    if not error:
        seen.add(row["id"])
    return error


def check_general(row: Row) -> str | None:
    """Return what is wrong with an example and how to fix it, or None. A field that is null counts as absent."""
    if not has_text(row.get("id")):
        return "`id` is missing, empty or not a string; give each row a unique id"
    if not has_text(row.get("category")) or not has_text(row.get("source")):
        return "`category` or `source` is missing or empty; write what kind of row it is, and where it is from"
    for key in NAMES:
        if normalize_text(row[key]) == CUSTOMER:
            return f"`{key}`: '{CUSTOMER}' is reserved for customer comments; write another name"
    for key, example in (("license", "a name such as MIT"), ("lang", "a code such as en")):
        value = row.get(key)
        if value is not None and not has_text(value):
            return f"`{key}`: expected {example}, got {value!r}; correct it or leave it out"
    if not _is_chat(row.get("messages")):
        return "`messages`: expected a list of {role, content} that ends with the assistant; correct the row"
    for number, turn in enumerate(row["messages"], 1):
        if turn["role"] not in ROLES:
            return f"message {number}: expected a `role` of {', '.join(ROLES)}, got '{turn['role']}'"
        if turn["role"] == "user" and not normalize_text(turn["content"]):
            return f"message {number}: the user's `content` is empty; write the question or remove the row"
        if turn["role"] == "assistant" and not (normalize_text(turn["content"]) or turn.get("tool_calls")):
            return f"message {number}: the assistant's `content` is empty; write the answer or remove the row"
    return None


def count_unknown_keys(row: Row, counts: Counter[str]) -> None:
    """Count the unknown keys of a valid example in `counts`; those of its messages as `messages.<key>`."""
    counts.update(find_unknown_keys(row, _KNOWN))
    counts.update({f"messages.{key}" for turn in row["messages"] for key in find_unknown_keys(turn, _KNOWN_OF_TURN)})


def make_unknown_key_warnings(path: Path, counts: Counter[str]) -> list[str]:
    """Return a warning for each unknown key of a file."""
    return describe_unknown_keys(path, counts, (*KEYS, *(f"messages.{key}" for key in TURN_KEYS)))


def _is_chat(messages: object) -> bool:
    """Return whether a value is a list of at least two {role, content} that ends with the assistant."""
    if not isinstance(messages, list) or len(messages) < 2 or not all(isinstance(turn, dict) for turn in messages):
        return False
    texts = all(isinstance(turn.get("content"), str) and isinstance(turn.get("role"), str) for turn in messages)
    return texts and messages[-1]["role"] == "assistant"
