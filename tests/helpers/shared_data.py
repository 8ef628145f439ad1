"""Read real texts from ../shared/data, a folder next to the repository. Without it, these tests are skipped."""

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[3] / "shared/data"


def read_shared_rows(name: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the first `limit` rows of a compressed file of the shared data; None: all rows."""
    path = SHARED / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with gzip.open(path) as file:
        return [json.loads(line) for line in islice(file, limit)]
