"""Read numbered rows from JSON Lines, JSON arrays, parquet files and hub data sets."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from alloy.core.files import InputError, Row, decode_line, number_lines, read_lines
from alloy.datasets.find_file import find_data
from alloy.datasets.source import SOURCE, Source

JSON = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")
PARQUET = (".parquet",)
BATCH = 2_000  # rows of a parquet file that are decoded together
Item = bytes | Row  # a line that is not parsed yet, or a row


class Rows(NamedTuple):
    """The rows of one file or hub data set, as (number, item). `location` names it in error messages."""

    location: str
    numbered: Iterator[tuple[int, Item]]


def read_rows(folder: Path, source: Source, canonical: str = "") -> Iterator[Rows]:
    """Yield the rows of each file of a source, in the order of their names, or those of a hub data set.

    A file with the `canonical` name takes precedence (see `find_data`).
    """
    if source.repository is not None:
        yield read_hub(folder, source)
        return
    endings = PARQUET if source.format == "parquet" else (*JSON, *PARQUET)
    for path in find_data(folder, source, endings, canonical):
        if path.suffix.lower() == ".parquet":
            yield Rows(str(path), read_parquet_rows(path))
        elif path.name.lower().removesuffix(".gz").endswith(".json"):
            yield Rows(str(path), read_json_rows(path))
        else:
            yield Rows(str(path), number_lines(path))


def parse_row(location: str, number: int, item: Item) -> Row:
    """Return the row in an item. Raises `InputError` if it is not a JSON object."""
    if isinstance(item, dict):
        return item
    row = decode_line(location, number, item)
    if isinstance(row, InputError):
        raise row
    return row


def read_json_rows(path: Path) -> Iterator[tuple[int, Item]]:
    """Yield the items of a JSON array. A file that does not start with `[` is read as JSON Lines.

    An item that is not an object is yielded as its JSON text, so that `parse_row` says what is wrong with that row.
    """
    if not next((line for line in read_lines(path) if line.strip()), b"").lstrip().startswith((b"[", b"\xef\xbb\xbf[")):
        yield from number_lines(path)
        return
    try:
        items = orjson.loads(b"".join(read_lines(path)).removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}); download or export the file again"
        ) from None
    for number, item in enumerate(items, 1):
        yield number, item if isinstance(item, dict) else orjson.dumps(item)


def read_parquet_rows(path: Path) -> Iterator[tuple[int, Item]]:
    """Yield the rows of a parquet file, with `BATCH` rows in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a complete parquet file ({reason}); download it again") from None


def read_hub(folder: Path, source: Source) -> Rows:
    """Return the rows of a hub data set at its pinned commit. Without a connection, the hub's cache is used.

    1. Download a snapshot of the repository into the hub's cache.
    2. Read the snapshot with `datasets`, which cannot find hub data by itself without a connection.
    3. Replace class numbers by class names.
    """
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    assert source.repository is not None
    location, key = f"{source.repository}@{(source.revision or '')[:8]}", folder / SOURCE
    if not os.isatty(2):
        disable_progress_bars()
    try:
        snapshot = snapshot_download(source.repository, repo_type="dataset", revision=source.revision)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        fix = "check `repository`, `revision` and your access, or download on a machine that can reach the hub"
        raise InputError(f"{key}: repository: cannot download {location} ({reason}); {fix}") from None
    try:
        data: Any = load_dataset(snapshot, name=source.subset, split=source.split, streaming=True)
    except (ValueError, OSError, RuntimeError) as error:  # base classes of the errors of `datasets`
        raise InputError(f"{key}: {location}: {' '.join(str(error).split())[:300]}; fix `subset` or `split`") from None
    names = {key: feature.names for key, feature in (data.features or {}).items() if isinstance(feature, ClassLabel)}
    return Rows(location, ((number, _name_classes(row, names)) for number, row in enumerate(data, 1)))


def _name_classes(row: Row, names: dict[str, list[str]]) -> Row:
    """Return a row with class names instead of class numbers. -1 becomes None."""
    if not names:
        return row
    named = {key: names[key][row[key]] if row[key] is not None and row[key] >= 0 else None for key in names}
    return {**row, **named}
