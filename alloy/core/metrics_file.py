"""Read metrics files that stages write: nested objects whose values are numbers."""

from collections.abc import Iterator
from pathlib import Path

from alloy.core.dvc_outputs import explain_restore
from alloy.core.files import InputError, Row, join_errors, name_json_type, read_json

TEXT_KEYS = {"hosted", "unit"}  # keys whose values are text


def read_metrics(
    path: str | Path, *keys: str, required: tuple[str, ...] = (), numbers: tuple[str, ...] | None = None
) -> Row:
    """Return the object at `keys` in a metrics file; raise `InputError` unless it has only numbers and `required` keys.

    `numbers`: if given, only the values of these keys must be numbers; others may be text, such as the origin of a
    model. Stages write such files, but a merge or an editor can damage them.
    """
    fix = explain_restore(Path(path))
    value = _require_object(read_json(path), f"{path}: the file", fix)
    for number, key in enumerate(keys, 1):
        value = _require_object(value.get(key), f"{path}: {'.'.join(keys[:number])}", fix)
    checked = value if numbers is None else {key: value[key] for key in numbers if key in value}
    errors = [
        f"{path}: {key}: expected a number, got {name_json_type(leaf)}; {fix}"
        for key, leaf in _find_bad_values(checked, keys)
    ]
    errors += [f"{path}: {'.'.join((*keys, key))}: missing; {fix}" for key in required if key not in value]
    if errors:
        raise join_errors(errors)
    return value


def _require_object(value: object, location: str, fix: str) -> Row:
    if not isinstance(value, dict):
        found = "nothing" if value is None else name_json_type(value)
        raise InputError(f"{location}: expected an object, got {found}; {fix}")
    return value


def _find_bad_values(value: object, keys: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """Yield the key and value of each leaf that is neither a number nor null."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _find_bad_values(child, (*keys, key))
    elif value is not None and not isinstance(value, int | float) and keys[-1] not in TEXT_KEYS:
        yield ".".join(keys), value
