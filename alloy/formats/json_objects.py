"""Read objects from JSON files of public data sets: JSON Lines or one array, compressed by gzip or not."""

from collections.abc import Iterator
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, decode_lines, name_json_type, read_lines

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def is_json(name: str) -> bool:
    """Return whether the name of a file is one that `read_objects` can read."""
    return name.lower().endswith(ENDINGS)


def read_objects(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield `(location, object)`; the location is `file:line` in JSON Lines and `file[number]`, from 1, in an array.

    A value that is not an object, or a file that is not valid JSON, raises `InputError`.
    """
    start = next((line.strip() for line in read_lines(path) if line.strip()), b"")
    if not start.startswith(b"["):
        for number, row in decode_lines(path):
            if isinstance(row, InputError):
                raise row
            yield f"{path}:{number}", row
        return
    try:
        rows = orjson.loads(b"".join(read_lines(path)))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not valid JSON ({error.msg}); download the file again") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path}[{number}]: expected a JSON object, got {name_json_type(row)}")
        yield f"{path}[{number}]", row
