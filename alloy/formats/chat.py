"""Plain chat prompts: `{id, category, messages}`, one JSON object per line; the last message is the user's."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alloy.core.files import Row, check_lines
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

ROLES = ("system", "user", "assistant")
KEYS = ("id", "category", "messages")  # of a row; others have no effect


def _ignore(_warning: str) -> None:
    """Do nothing."""


def read_chat_prompts(path: Path, warn: Callable[[str], object] = _ignore) -> list[Row]:
    """Return the prompts of a file, without other keys, which `warn` is told of; bad rows make one `InputError`."""
    lines: dict[str, int] = {}
    unknown: Counter[str] = Counter()

    def check(number: int, row: Row) -> Row:
        if error := check_chat_prompt(row):
            raise ValueError(error)
        first = lines.setdefault(row["id"], number)
        if first != number:
            raise ValueError(f"duplicate id '{row['id']}' (first used on line {first}); ids must be unique")
        unknown.update(find_unknown_keys(row, frozenset(KEYS)))
        return {key: row[key] for key in KEYS}

    rows = check_lines(path, check)
    for warning in describe_unknown_keys(path, unknown, KEYS):
        warn(warning)
    return rows


def check_chat_prompt(row: Row) -> str | None:
    """Return what is wrong with a prompt and how to fix it, or None."""
    for key in ("id", "category"):
        if not isinstance(row.get(key), str) or not normalize_text(row[key]):
            return f"`{key}`: expected a string such as 'greeting', got {row.get(key)!r}"
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return f"`messages`: expected a list of {{role, content}}, got {messages!r}"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return f"message {number}: expected a `role` of {', '.join(ROLES)}, got {message!r}"
        if not isinstance(message.get("content"), str) or not normalize_text(message["content"]):
            return f"message {number}: `content` is not a string or empty; write its text"
    if messages[-1]["role"] != "user":
        return f"the last message is the {messages[-1]['role']}'s; end with what the user asks"
    return None
