"""The rows of a run's metrics as columns of numbers: what the bootstrap over seeds and items draws from, and no text.

A file becomes `{"items": <hash of the ids>, <column>: [..]}`; ids are kept once for all files that have the same ones.
"""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from alloy.comparison.item_rows import LOSS
from alloy.core.files import Row, read_jsonl

PAIR = ("base", "tuned")
FILES = (
    *(f"metrics/score/{model}.jsonl" for model in (*PAIR, "svm")),
    *(f"metrics/{stage}/{model}.jsonl" for stage in ("mmlu", "ifeval", "answers") for model in PAIR),
    LOSS,
)
NAMES = ("id", "test")  # what tells items of one file apart
DIGITS = 5  # of nats


def read_items(folder: Path) -> Row:
    """Return `{"names": {hash: rows of id and test}, "files": {path: columns}}` of the project in `folder`."""
    names: Row = {}
    files: Row = {}
    for path in FILES:
        file = folder / path
        rows = read_jsonl(file) if file.is_file() and file.read_bytes().strip() else []
        if rows:
            ids = [[row[key] for key in NAMES if key in row] for row in rows]
            key = hashlib.sha256(orjson.dumps(ids)).hexdigest()[:16]
            names[key] = ids
            files[path] = {"items": key, **_columns(rows, exact=path != LOSS)}
    return {"names": names, "files": files}


def _columns(rows: list[Row], *, exact: bool) -> dict[str, list[Any]]:
    """Return the columns of counts; unless `exact`, also those of other numbers, rounded."""
    keys = [key for key in rows[0] if key not in NAMES and all(key in row for row in rows)]
    columns = {key: [_count(row[key], exact) for row in rows] for key in keys}
    return {key: values for key, values in columns.items() if None not in values}


def _count(value: Any, exact: bool) -> Any:  # noqa: ANN401 (whatever a row holds)
    """Return a number, or a list of them, as it is kept; None for anything else."""
    if isinstance(value, list):
        kept = [_count(one, exact) for one in value]
        return None if None in kept else kept
    if not isinstance(value, int | float):
        return None
    if float(value).is_integer():
        return int(value)
    return None if exact else round(value, DIGITS)


class Items:
    """The rows of a record, as the files that they were: `alloy.sweep.results.Run` reads them."""

    def __init__(self, kept: Row) -> None:
        self._kept = kept

    def read_text(self, path: str, /) -> str:
        """Return the text of a file of rows; raise `FileNotFoundError` if the record has none."""
        if path not in self._kept["files"]:
            raise FileNotFoundError(path)
        columns = dict(self._kept["files"][path])
        names = self._kept["names"][columns.pop("items")]
        rows = [
            {**dict(zip(NAMES, name, strict=False)), **{key: values[number] for key, values in columns.items()}}
            for number, name in enumerate(names)
        ]
        return "\n".join(orjson.dumps(row).decode() for row in rows)
