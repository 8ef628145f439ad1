"""Gather general examples for small models: short chats, mathematics, code, role play and yes-or-no questions.

data/assistant/README.md lists the raw files. They may be as published, or canonical examples of the same sources.

1. Read all files. Leave out conversations of more than 1,200 characters, with an empty message, and copies.
2. Hash each conversation. Take the examples with the lowest hashes, at most
   `SOURCES[source].max_examples` per source. So the result does not depend on the layout and the order of the files.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, find_files, write_jsonl
from alloy.datasets.assistant_forms import SOURCES, Example, read_examples
from alloy.formats.general import check_general
from alloy.formats.json_objects import is_json

MAX_CHARACTERS = 1200  # in all messages of a conversation
NO_FILES = "no .json or .jsonl file; data/assistant/README.md lists the files and their sources"


def select_examples(examples: Iterable[Example], left_out: Counter[str]) -> list[Row]:
    """Return the canonical rows of the selected examples. The others are counted in `left_out`, by reason."""
    by_source: dict[str, dict[str, Row]] = {source: {} for source in SOURCES}
    for example in examples:
        if example.source not in by_source:
            left_out["other sources"] += 1
            continue
        digest = hashlib.sha256(orjson.dumps(example.messages)).hexdigest()
        row = to_row(example, digest)
        if sum(len(turn["content"]) for turn in example.messages) > MAX_CHARACTERS:
            left_out["too long"] += 1
        elif check_general(row) or not all(turn["content"] for turn in example.messages):
            left_out["an empty message or no answer"] += 1
        elif by_source[example.source].setdefault(digest, row) is not row:
            left_out["copies"] += 1
    rows: list[Row] = []
    for source, candidates in by_source.items():
        max_examples = SOURCES[source].max_examples
        left_out["over the maximum"] += max(len(candidates) - max_examples, 0)
        rows += [candidates[digest] for digest in sorted(candidates)[:max_examples]]
    return rows


def to_row(example: Example, digest: str) -> Row:
    """Return the canonical row of an example; `digest` is its hash."""
    source = SOURCES[example.source]
    return {
        "id": f"{example.source}-{digest[:12]}",
        "category": source.category,
        "source": example.source,
        "lang": example.lang,
        "license": source.license,
        "messages": example.messages,
    }


def read_raw(files: list[Path]) -> Iterator[Example]:
    """Yield the examples of all files."""
    for path in files:
        yield from read_examples(path)


def convert_assistant(raw: Path, out: Path) -> list[str]:
    """Write general.jsonl from the files below `raw`; return the lines to print."""
    left_out: Counter[str] = Counter()
    rows = select_examples(read_raw(find_files(raw, is_json, NO_FILES)), left_out)
    counts = Counter(row["source"] for row in rows)
    if missing := [source for source in SOURCES if not counts[source]]:
        raise InputError(f"{raw}: no example of {', '.join(missing)}; add the file that data/assistant/README.md names")
    write_jsonl(out / "general.jsonl", rows)
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    return [f"{len(rows)} examples of {len(counts)} sources; left out: {reasons or 'none'}"]
