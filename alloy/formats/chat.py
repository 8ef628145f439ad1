"""Chat prompts: `{id, category, messages}`, one JSON object per line. The last message is from the user."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alloy.core.files import Row, check_lines
from alloy.core.text import has_text
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

ROLES = ("system", "user", "assistant")
KEYS = ("id", "category", "messages")  # of a row; others have no effect


def _ignore_warning(_warning: str) -> None:
    """Do nothing."""


def read_chat_prompts(path: Path, warn: Callable[[str], object] = _ignore_warning) -> list[Row]:
    """Return the prompts of a file, without unknown keys.

    `warn` is called with a warning per unknown key. All bad rows are raised as one `InputError`.
    """
    lines: dict[str, int] = {}
    unknown: Counter[str] = Counter()

    def check_row(number: int, row: Row) -> Row:
        if error := check_chat_prompt(row):
            raise ValueError(error)
        first = lines.setdefault(row["id"], number)
        if first != number:
            raise ValueError(f"duplicate id '{row['id']}' (first used on line {first}); ids must be unique")
        unknown.update(find_unknown_keys(row, frozenset(KEYS)))
        return {key: row[key] for key in KEYS}

    rows = check_lines(path, check_row)
    for warning in describe_unknown_keys(path, unknown, KEYS):
        warn(warning)
    return rows


def check_chat_prompt(row: Row) -> str | None:
    """Return what is wrong with a prompt and how to fix it; None if it is valid."""
    for key in ("id", "category"):
        if not has_text(row.get(key)):
            return f"`{key}`: expected a string such as 'greeting', got {row.get(key)!r}"
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return f"`messages`: expected a list of {{role, content}}, got {messages!r}"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return f"message {number}: expected a `role` of {', '.join(ROLES)}, got {message!r}"
        if not has_text(message.get("content")):
            return f"message {number}: expected a `content` that is not empty, got {message.get('content')!r}"
    if messages[-1]["role"] != "user":
        return f"`messages`: expected the last one to be from the user, got {messages[-1]['role']}"
    return None
