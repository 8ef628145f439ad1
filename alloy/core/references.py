"""References in settings, `${train.max_length}`: how much a value holds once they are followed."""

import re
from typing import Any

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
LARGEST = 100_000  # characters and values; a reference to a reference to .. can hold a billion


def followed_size(values: Any, value: Any, known: dict[str, int] | None = None) -> int:  # noqa: ANN401 (whatever YAML holds)
    """Return the characters and values in `value` with its references into `values` followed, without following them.

    Each name is measured once and kept in `known`, so that the time does not grow with the size. A reference that leads
    nowhere, or to itself, adds nothing.

    >>> followed_size({"s": {"a": "xxx"}}, "${s.a}${s.a}")
    8
    """
    known = {} if known is None else known
    if isinstance(value, dict):
        return 1 + sum(followed_size(values, one, known) for one in value.values())
    if isinstance(value, list):
        return 1 + sum(followed_size(values, one, known) for one in value)
    if not isinstance(value, str):
        return 1
    size = len(REFERENCE.sub("", value))
    for name in REFERENCE.findall(value):
        if name not in known:
            known[name] = 0  # in case that it refers to itself
            known[name] = 1 + followed_size(values, _at(values, name), known)
        size += known[name]
    return size


def _at(values: Any, name: str) -> Any:  # noqa: ANN401 (whatever YAML holds)
    for word in name.split("."):
        if isinstance(values, dict):
            values = values.get(word)
        elif isinstance(values, list) and word.isdecimal() and int(word) < len(values):
            values = values[int(word)]
        else:
            return None
    return values
