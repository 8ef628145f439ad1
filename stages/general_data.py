"""The canonical general example: `{id, category, source, lang, license?, messages}`, messages in chat form."""

from collections.abc import Iterator
from pathlib import Path

from stages.records import InputError, Row, decode_lines

CUSTOMER = "customer"  # the source of the customer examples in the mix


def read_general(path: Path) -> list[Row]:
    """Return the general examples; each must have an id of its own, a category and messages that end in an answer."""
    return list(general_rows(path, set()))


def general_rows(path: Path, seen: set[str]) -> Iterator[Row]:
    """Yield the examples of one file and add their ids to `seen`; an example with a fault or a seen id raises."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        fault = check_general(row)
        if not fault and row["id"] in seen:
            fault = f"id '{row['id']}' stands twice; give each row its own id"
        if fault:
            raise InputError(f"{path}:{number}: {fault}")
        seen.add(row["id"])
        yield row


def check_general(row: Row) -> str | None:
    """Return what is wrong with an example, and the mend, or None."""
    if not isinstance(row.get("id"), str):
        return "`id` is missing or no string; give each row its own id"
    if not isinstance(row.get("category"), str) or not isinstance(row.get("source"), str):
        return "`category` or `source` is missing; say what kind the row is and where it is from"
    for key in ("source", "category"):
        if row[key] == CUSTOMER:
            return f"{key} '{CUSTOMER}' is kept for the comments; give the {key} another name"
    licence = row.get("license")
    if "license" in row and not (isinstance(licence, str) and licence.strip()):
        return f"`license` is {licence!r}; write a name such as MIT, or leave it out"
    if not _is_chat(row.get("messages")):
        return "`messages` must be a list of {role, content} that ends with the assistant; correct the row"
    if not row["messages"][-1]["content"].strip():
        return "the assistant's last message is empty; give the answer or drop the row"
    return None


def _is_chat(messages: object) -> bool:
    if not isinstance(messages, list) or len(messages) < 2 or not all(isinstance(turn, dict) for turn in messages):
        return False
    texts = all(isinstance(turn.get("content"), str) and isinstance(turn.get("role"), str) for turn in messages)
    return texts and messages[-1]["role"] == "assistant"
