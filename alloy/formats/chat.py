"""Plain chat prompts: `{id, category, messages}`, one JSON object per line; the last message is the user's."""

from pathlib import Path

from alloy.core.files import InputError, Row, decode_lines

ROLES = ("system", "user", "assistant")


def read_chat_prompts(path: Path) -> list[Row]:
    """Return the prompts of a file, without other keys; the first line that is not a prompt raises `InputError`."""
    rows: list[Row] = []
    lines: dict[str, int] = {}
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        error = check_chat_prompt(row)
        if not error and row["id"] in lines:
            error = f"duplicate id '{row['id']}' (first used on line {lines[row['id']]}); ids must be unique"
        if error:
            raise InputError(f"{path}:{number}: {error}")
        lines[row["id"]] = number
        rows.append({key: row[key] for key in ("id", "category", "messages")})
    return rows


def check_chat_prompt(row: Row) -> str | None:
    """Return what is wrong with a prompt and how to fix it, or None."""
    for key in ("id", "category"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            return f"`{key}`: expected a string such as 'greeting', got {row.get(key)!r}"
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return f"`messages`: expected a list of {{role, content}}, got {messages!r}"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return f"message {number}: expected a `role` of {', '.join(ROLES)}, got {message!r}"
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            return f"message {number}: `content` is missing or empty; write its text"
    if messages[-1]["role"] != "user":
        return f"the last message is the {messages[-1]['role']}'s; end with what the user asks"
    return None
