"""Read rows of Parquet files, as the Hugging Face Hub has them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from alloy.core.files import InputError, Row


def read_parquet(path: Path, fields: list[str], source: str) -> Iterator[tuple[str, Row]]:
    """Yield `(location, row)` with the columns `fields`; the location is `<file>: row <n>`, from 1.

    A file that is not complete, or lacks a column, raises `InputError`, which names `source`, the origin of the files.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a complete Parquet file ({reason}); download it again") from None
    if missing := [name for name in fields if name not in table.column_names]:
        raise InputError(f"{path}: no column '{missing[0]}'; download the files from {source}")
    for number, row in enumerate(table.select(fields).to_pylist(), 1):
        yield f"{path}: row {number}", row
