"""Rows of the hub's parquet files."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from alloy.core.files import InputError, Row


def read_parquet(path: Path, fields: list[str], source: str) -> Iterator[tuple[str, Row]]:
    """Yield each row with its place, `<file>: row <n>`; `source` is where a file with all `fields` is to be had."""
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        fault = str(error).splitlines()[0]
        raise InputError(f"{path}: not a whole parquet file ({fault}); fetch it again") from None
    if missing := [name for name in fields if name not in table.column_names]:
        raise InputError(f"{path}: no column '{missing[0]}'; take the files from {source}")
    for number, row in enumerate(table.select(fields).to_pylist(), 1):
        yield f"{path}: row {number}", row
