"""Real texts to test on, from ../shared/data beside the repository; where it is absent, a test that asks is skipped.

`leaks` makes of a text what hides in training data: itself, or the same in other case, other spaces, with another word.
"""

import gzip
import json
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / "shared/data"


def real_rows(name: str, most: int | None = None) -> list[dict[str, Any]]:
    """Return the first rows of a packed file of the shared data, all without `most`."""
    path = SHARED / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent: there is no real text to test on")
    with gzip.open(path) as file:
        return [json.loads(line) for line in islice(file, most)]


def _another_word(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "zeppelin"
    return " ".join(words)


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "verbatim": lambda text, _: text,
    "re-cased": lambda text, _: text.swapcase(),
    "re-spaced": lambda text, _: "\t" + "  ".join(text.split()) + "\n",
    "a word changed": _another_word,
}


def leaks(texts: list[str], seed: int = 0) -> list[tuple[str, str]]:
    """Return `(name of the disguise, text)` of each text, the disguises by turns."""
    rng = random.Random(seed)
    kinds = list(DISGUISES.items())
    return [(kinds[n % 4][0], kinds[n % 4][1](text, rng)) for n, text in enumerate(texts)]
