"""Compute the size of a setting after its references, such as `${train.max_length}`, are resolved."""

import re
from typing import Any

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
MAX_SIZE = 100_000  # characters and values; a chain of references can multiply to billions


def measure_resolved_size(values: Any, value: Any, known: dict[str, int] | None = None) -> int:  # noqa: ANN401 (any YAML value)
    """Return the number of characters and values in `value` after its references into `values` are resolved.

    1. Count each value as 1, and each character of a text outside references as 1.
    2. For each reference, add the size of the value that it names. Measure each name once and keep its size in `known`,
       so that the time does not grow with the result. A value's reference to itself, or to an unknown name, adds
       nothing.

    >>> measure_resolved_size({"s": {"a": "xxx"}}, "${s.a}${s.a}")
    8
    """
    known = {} if known is None else known
    if isinstance(value, dict):
        return 1 + sum(measure_resolved_size(values, child, known) for child in value.values())
    if isinstance(value, list):
        return 1 + sum(measure_resolved_size(values, child, known) for child in value)
    if not isinstance(value, str):
        return 1
    size = len(REFERENCE.sub("", value))
    for name in REFERENCE.findall(value):
        if name not in known:
            known[name] = 0  # in case it refers to itself
            known[name] = 1 + measure_resolved_size(values, _get_value(values, name), known)
        size += known[name]
    return size


def _get_value(values: Any, name: str) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the value of a name such as `train.max_length`, or None."""
    for part in name.split("."):
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values
