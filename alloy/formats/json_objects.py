"""Objects in a JSON file, as public data sets have them: JSON Lines, or one array; packed or not."""

from collections.abc import Iterator
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, decode_lines, read_lines

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def is_json(name: str) -> bool:
    """Say whether a file's name is one that `read_objects` reads."""
    return name.lower().endswith(ENDINGS)


def read_objects(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield `(place, object)` of each object: `file:line` in JSON Lines, `file[number]` in an array.

    What is not an object, or not valid JSON, raises `InputError`.
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
        raise InputError(f"{path}:{error.lineno}: not valid JSON ({error.msg}); fetch the file again") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path}[{number}]: expected an object, got {type(row).__name__}")
        yield f"{path}[{number}]", row
