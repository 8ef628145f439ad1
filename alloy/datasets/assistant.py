"""Gather general examples for small models: short chats, mathematics, code, role play and yes-or-no questions.

The raw files are those that data/assistant/README.md lists, as they were published, or canonical examples of the same
sources.

1. Read all files. Conversations of more than 1,200 characters and those with an empty message are left out, copies too.
2. Take of each source those whose hashes come first, as many as SOURCES says. So the same examples are taken whatever
   the form and the order of the files.
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

MOST = 1200  # characters of all messages of a conversation
WANTED = "no .json or .jsonl file; data/assistant/README.md lists the files and where they are"


def select(examples: Iterable[Example], left: Counter[str]) -> list[Row]:
    """Return the canonical rows of the examples that are taken; `left` counts the others by reason."""
    found: dict[str, dict[str, Row]] = {source: {} for source in SOURCES}
    for example in examples:
        if example.source not in found:
            left["other sources"] += 1
            continue
        name = hashlib.sha256(orjson.dumps(example.messages)).hexdigest()
        row = to_row(example, name)
        if sum(len(turn["content"]) for turn in example.messages) > MOST:
            left["too long"] += 1
        elif check_general(row) or not all(turn["content"] for turn in example.messages):
            left["an empty message or no answer"] += 1
        elif found[example.source].setdefault(name, row) is not row:
            left["copies"] += 1
    rows: list[Row] = []
    for source, own in found.items():
        most = SOURCES[source].most
        left["more than are taken"] += max(len(own) - most, 0)
        rows += [own[name] for name in sorted(own)[:most]]
    return rows


def to_row(example: Example, name: str) -> Row:
    """Return the canonical row of an example; `name` is its hash."""
    source = SOURCES[example.source]
    return {
        "id": f"{example.source}-{name[:12]}",
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
    """Write general.jsonl from the files below `raw`; return what to print."""
    left: Counter[str] = Counter()
    rows = select(read_raw(find_files(raw, is_json, WANTED)), left)
    counts = Counter(row["source"] for row in rows)
    if missing := [source for source in SOURCES if not counts[source]]:
        raise InputError(f"{raw}: no example of {', '.join(missing)}; data/assistant/README.md says which file it is")
    write_jsonl(out / "general.jsonl", rows)
    reasons = ", ".join(f"{count} {reason}" for reason, count in left.items() if count)
    return [f"{len(rows)} examples of {len(counts)} sources; left out: {reasons or 'none'}"]
