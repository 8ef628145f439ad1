"""Files of metrics that stages write: objects by model and part, whose values are numbers."""

from collections.abc import Iterator
from pathlib import Path

from alloy.core.dvc_outputs import how_to_make
from alloy.core.files import InputError, Row, join_errors, json_type, read_json

TEXTS = {"hosted", "unit"}  # values that are words


def read_metrics(
    path: str | Path, *keys: str, need: tuple[str, ...] = (), numbers: tuple[str, ...] | None = None
) -> Row:
    """Return the object under `keys` of a file of metrics; raise `InputError` unless it has `need` and only numbers.

    `numbers`: the keys whose values must be numbers, if others are text, such as the origin of a model. Stages write
    such files, but a merge or an editor can damage them.
    """
    fix = how_to_make(Path(path))
    value = _object(read_json(path), f"{path}: the file", fix)
    for number, key in enumerate(keys, 1):
        value = _object(value.get(key), f"{path}: {'.'.join(keys[:number])}", fix)
    used = value if numbers is None else {key: value[key] for key in numbers if key in value}
    errors = [f"{path}: {key}: expected a number, found {json_type(leaf)}; {fix}" for key, leaf in _wrong(used, keys)]
    errors += [f"{path}: {'.'.join((*keys, key))}: missing; {fix}" for key in need if key not in value]
    if errors:
        raise join_errors(errors)
    return value


def _object(value: object, place: str, fix: str) -> Row:
    if not isinstance(value, dict):
        found = "nothing" if value is None else json_type(value)
        raise InputError(f"{place}: expected an object, found {found}; {fix}")
    return value


def _wrong(value: object, keys: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """Yield the key and value of each leaf that is no number and not null."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _wrong(below, (*keys, key))
    elif value is not None and not isinstance(value, int | float) and keys[-1] not in TEXTS:
        yield ".".join(keys), value
