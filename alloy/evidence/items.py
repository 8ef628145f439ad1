"""The rows of a run's metrics as columns of numbers, without text. The bootstrap over seeds and items needs only these.

A file becomes `{"items": <hash of the ids>, <column>: [...]}`. Files with the same ids share one list of ids.
"""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from alloy.comparison.item_rows import LOSS
from alloy.core.files import Row, read_jsonl

BASE_AND_TUNED = ("base", "tuned")
FILES = (
    *(f"metrics/score/{model}.jsonl" for model in (*BASE_AND_TUNED, "svm")),
    *(f"metrics/{stage}/{model}.jsonl" for stage in ("mmlu", "ifeval", "answers") for model in BASE_AND_TUNED),
    LOSS,
)
ID_KEYS = ("id", "test")  # keys that identify an item in a file
LOSS_DIGITS = 5  # decimals of losses in nats


def read_items(folder: Path) -> Row:
    """Return `{"names": {hash: [[id, test?], ...]}, "files": {path: columns}}` of the project in `folder`."""
    names: Row = {}
    files: Row = {}
    for path in FILES:
        file = folder / path
        rows = read_jsonl(file) if file.is_file() and file.read_bytes().strip() else []
        if rows:
            ids = [[row[key] for key in ID_KEYS if key in row] for row in rows]
            key = hashlib.sha256(orjson.dumps(ids)).hexdigest()[:16]
            names[key] = ids
            files[path] = {"items": key, **_collect_columns(rows, exact=path != LOSS)}
    return {"names": names, "files": files}


def _collect_columns(rows: list[Row], *, exact: bool) -> dict[str, list[Any]]:
    """Return the columns of integers and, unless `exact`, also those of other numbers, rounded."""
    keys = [key for key in rows[0] if key not in ID_KEYS and all(key in row for row in rows)]
    columns = {key: [_to_number(row[key], exact) for row in rows] for key in keys}
    return {key: values for key, values in columns.items() if None not in values}


def _to_number(value: Any, exact: bool) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a number, or a list of numbers, in the form that is stored; None for anything else."""
    if isinstance(value, list):
        entries = [_to_number(entry, exact) for entry in value]
        return None if None in entries else entries
    if not isinstance(value, int | float):
        return None
    if float(value).is_integer():
        return int(value)
    return None if exact else round(value, LOSS_DIGITS)


class RecordedRows:
    """The rows of a record as JSON Lines files, for `Run` in alloy/sweep/results.py."""

    def __init__(self, record: Row) -> None:
        self._record = record

    def read_text(self, path: str, /) -> str:
        """Return the text of a file of rows; raise `FileNotFoundError` if the record has none."""
        if path not in self._record["files"]:
            raise FileNotFoundError(path)
        columns = dict(self._record["files"][path])
        names = self._record["names"][columns.pop("items")]
        rows = [
            {**dict(zip(ID_KEYS, name, strict=False)), **{key: values[number] for key, values in columns.items()}}
            for number, name in enumerate(names)
        ]
        return "\n".join(orjson.dumps(row).decode() for row in rows)
