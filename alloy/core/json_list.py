"""The JSON list in a text, whatever is around it."""

import re
from typing import Any

import orjson


def json_list(text: str) -> list[dict[str, Any]] | None:
    """Return the JSON list of objects from the first `[` to the last `]` of a text, or None where that is none."""
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        items = orjson.loads(found.group()) if found else None
    except orjson.JSONDecodeError:
        items = None
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else None
