"""Check references between settings, such as `${train.max_length}`, before they are resolved.

A reference must name an existing value of its own section, and the values must not become huge when it is resolved.
"""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from alloy.core.files import Row

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
MAX_SIZE = 100_000  # characters and values; a chain of references can multiply to billions


def get_unresolved(values: DictConfig) -> Row:
    """Return values with the references in them as written."""
    written: Any = OmegaConf.to_container(values, resolve=False)
    return written


def find_bad_references(sections: DictConfig, section: str) -> Iterator[str]:
    """Yield an error for each `${...}` in `section` that does not name a value of it.

    References to other sections are not allowed: DVC tracks single sections, and would miss a change there.
    """
    written, known = get_unresolved(sections), dict[str, int]()
    if measure_resolved_size(written, written.get(section), known) > MAX_SIZE:
        yield f"{section}: holds more than {MAX_SIZE:,} characters when its references are resolved; write the values"
        return
    for key, value in _list_strings(written.get(section), section):
        if "${" not in value:
            continue
        names = REFERENCE.findall(value)
        if "${" in REFERENCE.sub("", value) or not all(re.fullmatch(r"\w[\w.-]*", name) for name in names):
            yield f"{key}: expected a reference such as ${{{section}.key}}, got {value!r}"
        elif others := [name for name in names if not name.startswith(f"{section}.")]:
            yield (
                f"{key}: ${{{others[0]}}} refers to another section, so that DVC would miss a change there; "
                f"refer to a key of {section}, or write the value"
            )
        elif missing := [name for name in names if not _reference_exists(sections, name)]:
            yield f"{key}: ${{{missing[0]}}} does not exist; refer to another key of {section}, or write the value"


def _reference_exists(sections: DictConfig, name: str) -> bool:
    missing = object()
    try:
        return OmegaConf.select(sections, name, default=missing) is not missing
    except (OmegaConfBaseException, RecursionError):
        return False


def _list_strings(values: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (whatever YAML holds)
    """Yield the key and value of each string in `values`, such as (`train.optimizer`, `adamw`)."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _list_strings(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _list_strings(value, f"{key}[{index}]")
    elif isinstance(values, str):
        yield key, values


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
