"""Rows of JSON Lines, JSON arrays, parquet files and hub data sets, one after the other, each with its number."""

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
Item = bytes | Row  # a line that is still to be parsed, or a row


class Rows(NamedTuple):
    """The rows of one file or hub data set: `place` names it in messages, `numbered` yields (number, item)."""

    place: str
    numbered: Iterator[tuple[int, Item]]


def read_rows(folder: Path, source: Source, canonical: str = "") -> Iterator[Rows]:
    """Yield the rows of each file that a source consists of, in name order, or those of a hub data set.

    A file with the `canonical` name goes before others.
    """
    if source.repository is not None:
        yield read_hub(folder, source)
        return
    endings = PARQUET if source.format == "parquet" else (*JSON, *PARQUET)
    for path in find_data(folder, source, endings, canonical):
        if path.suffix.lower() == ".parquet":
            yield Rows(str(path), parquet_rows(path))
        elif path.name.lower().removesuffix(".gz").endswith(".json"):
            yield Rows(str(path), json_rows(path))
        else:
            yield Rows(str(path), number_lines(path))


def parse_row(place: str, number: int, item: Item) -> Row:
    """Return the row in an item; what is not a JSON object raises `InputError`."""
    if isinstance(item, dict):
        return item
    row = decode_line(place, number, item)
    if isinstance(row, InputError):
        raise row
    return row


def json_rows(path: Path) -> Iterator[tuple[int, Item]]:
    """Yield the items of a JSON array; a file that does not begin with `[` is read as JSON Lines.

    An item that is not an object is yielded as its JSON text, so that `parse_row` says what is wrong with that row.
    """
    if not next((line for line in read_lines(path) if line.strip()), b"").lstrip().startswith((b"[", b"\xef\xbb\xbf[")):
        yield from number_lines(path)
        return
    try:
        items = orjson.loads(b"".join(read_lines(path)).removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}); fetch or export the file again"
        ) from None
    for number, item in enumerate(items, 1):
        yield number, item if isinstance(item, dict) else orjson.dumps(item)


def parquet_rows(path: Path) -> Iterator[tuple[int, Item]]:
    """Yield the rows of a parquet file, some thousand in memory at a time."""
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
        fault = str(error).splitlines()[0]
        raise InputError(f"{path}: not a whole parquet file ({fault}); fetch it again") from None


def read_hub(folder: Path, source: Source) -> Rows:
    """Return the rows of a hub data set at its pinned commit; offline, those in the hub's cache.

    The repository comes into the hub's cache as a snapshot, which `datasets` then reads: it finds no data of the hub by
    itself when it is offline. Class numbers become the names of the classes.
    """
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    assert source.repository is not None
    place, key = f"{source.repository}@{(source.revision or '')[:8]}", folder / SOURCE
    if not os.isatty(2):
        disable_progress_bars()
    try:
        snapshot = snapshot_download(source.repository, repo_type="dataset", revision=source.revision)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        how = "check repository, revision and access, or fetch it where the hub can be reached"
        raise InputError(f"{key}: repository: cannot fetch {place} ({said}); {how}") from None
    try:
        data: Any = load_dataset(snapshot, name=source.subset, split=source.part, streaming=True)
    except (ValueError, OSError, RuntimeError) as error:  # datasets' own errors are of these classes
        raise InputError(f"{key}: {place}: {' '.join(str(error).split())[:300]}; correct subset or part") from None
    names = {name: kind.names for name, kind in (data.features or {}).items() if isinstance(kind, ClassLabel)}
    return Rows(place, ((number, _named(row, names)) for number, row in enumerate(data, 1)))


def _named(row: Row, names: dict[str, list[str]]) -> Row:
    """Return a row with the names of its classes; -1 stands for none."""
    if not names:
        return row
    known = {key: names[key][row[key]] if row[key] is not None and row[key] >= 0 else None for key in names}
    return {**row, **known}
