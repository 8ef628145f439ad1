"""The canonical general example: `{id, category, source, lang, license?, messages}`, messages in chat form."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, decode_lines, join_errors
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

KEYS = ("id", "category", "source", "lang", "license", "messages")  # of a row; others have no effect
TURN_KEYS = ("role", "content")  # of a message
# Of a message, where chats of other forms keep reasoning and tool calls; without them it would look whole.
MARKUP_KEYS = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call")
_KNOWN, _KNOWN_OF_TURN = frozenset(KEYS), frozenset(TURN_KEYS)
ROLES = ("system", "user", "assistant", "tool")
REJECTED = "rejected.jsonl"  # beside prepared examples: the bad rows that were left out
CUSTOMER = "customer"  # the source of the customer examples in the mix


def read_general(path: Path) -> list[Row]:
    """Return the general examples; each must have an id of its own, a category and messages that end in an answer."""
    rows = [row for _, row in checked_rows(path, set())]
    if errors := [str(row) for row in rows if isinstance(row, InputError)]:
        raise join_errors(errors)
    return [row for row in rows if not isinstance(row, InputError)]


def general_rows(path: Path, seen: set[str]) -> Iterator[Row]:
    """Yield the examples of one file and add their ids to `seen`; an example with a fault or a seen id raises."""
    for _, row in checked_rows(path, seen):
        if isinstance(row, InputError):
            raise row
        yield row


def checked_rows(path: Path, seen: set[str]) -> Iterator[tuple[int, Row | InputError]]:
    """Yield the number of each line of a file with its example, or with the error that says why it is none."""
    for number, row in decode_lines(path):
        if not isinstance(row, InputError) and (error := _error_in(row, seen)):
            row = InputError(f"{path}:{number}: {error}")
        yield number, row


def _error_in(row: Row, seen: set[str]) -> str | None:
    """Return what is wrong with an example, also that its id is in `seen`; without an error its id is added there."""
    error = check_general(row)
    if not error and row["id"] in seen:
        error = f"duplicate id '{row['id']}'; give each row its own id"
    if not error:
        seen.add(row["id"])
    return error


def check_general(row: Row) -> str | None:
    """Return what is wrong with an example, and the mend, or None. A field that is null is absent."""
    if not _is_text(row.get("id")):
        return "`id` is missing, empty or no string; give each row its own id"
    if not _is_text(row.get("category")) or not _is_text(row.get("source")):
        return "`category` or `source` is missing or empty; say what kind the row is and where it is from"
    for key in ("source", "category"):
        if row[key] == CUSTOMER:
            return f"{key} '{CUSTOMER}' is kept for the comments; give the {key} another name"
    for key, like in (("license", "a name such as MIT"), ("lang", "a code such as en")):
        value = row.get(key)
        if value is not None and not _is_text(value):
            return f"`{key}` is {value!r}; write {like}, or leave it out"
    if not _is_chat(row.get("messages")):
        return "`messages` must be a list of {role, content} that ends with the assistant; correct the row"
    for number, turn in enumerate(row["messages"], 1):
        if turn["role"] not in ROLES:
            return f"role '{turn['role']}' is none that models know; write {', '.join(ROLES[:-1])} or {ROLES[-1]}"
        if turn["role"] == "user" and not normalize_text(turn["content"]):
            return "a message of the user is empty; give the question or drop the row"
        if turn["role"] == "assistant" and not (normalize_text(turn["content"]) or turn.get("tool_calls")):
            which = "last message" if number == len(row["messages"]) else f"message {number}"
            return f"the assistant's {which} is empty; give the answer or drop the row"
    return None


def count_unknown_keys(row: Row, counts: Counter[str]) -> None:
    """Add the unknown keys of an example that `check_general` has passed to `counts`, those of messages with a dot."""
    counts.update(find_unknown_keys(row, _KNOWN))
    counts.update({f"messages.{key}" for turn in row["messages"] for key in find_unknown_keys(turn, _KNOWN_OF_TURN)})


def unknown_key_warnings(path: Path, counts: Counter[str]) -> list[str]:
    """Return what to say of the unknown keys of a file."""
    return describe_unknown_keys(path, counts, (*KEYS, *(f"messages.{key}" for key in TURN_KEYS)))


def _is_text(value: object) -> bool:
    """Say whether it is a string with anything that can be seen."""
    return isinstance(value, str) and bool(normalize_text(value))


def _is_chat(messages: object) -> bool:
    if not isinstance(messages, list) or len(messages) < 2 or not all(isinstance(turn, dict) for turn in messages):
        return False
    texts = all(isinstance(turn.get("content"), str) and isinstance(turn.get("role"), str) for turn in messages)
    return texts and messages[-1]["role"] == "assistant"
