"""Real texts from ../shared/data, next to the repository. If it is missing, tests that need it are skipped."""

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[3] / "shared/data"


def real_rows(name: str, most: int | None = None) -> list[dict[str, Any]]:
    """Return the first `most` rows of a compressed file of the shared data; all if it is None."""
    path = SHARED / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent: there is no real text to test on")
    with gzip.open(path) as file:
        return [json.loads(line) for line in islice(file, most)]
