"""Convert training data of Amazon Nova (conversations in Converse format) to canonical comments and their taxonomy.

The raw files are JSON Lines (.jsonl, .jsonl.gz) with one conversation per line, and optionally taxonomy.csv and
prompt.txt.

1. Read all conversations, and find the prompt: the text with which all last user turns start and end.
2. Read them again. The comment is the last user turn without the prompt. Its labels are the assistant's last turn.

The files are read twice, because the prompts may be too long to keep in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import (
    InputError,
    Row,
    count_lines,
    decode_lines,
    find_files,
    is_jsonl,
    write_atomically,
    write_jsonl,
)
from alloy.core.text import hash_text
from alloy.datasets.nova_labels import AnswerLabels, DescribedSegment, format_taxonomy_csv, parse_answer
from alloy.datasets.nova_prompt import FIX, PROMPT, Wrapper, find_common_wrapper, read_wrapper
from alloy.formats.comments import make_segment_row
from alloy.formats.converse import to_messages
from alloy.formats.taxonomy import LabelPath, load_taxonomy

SHOWN = 40  # characters of the prompt that are printed


class Example(NamedTuple):
    """One conversation: its location (`file:line`), its row, its last user turn, and the segments of its answer."""

    location: str
    row: Row
    turn: str
    segments: list[DescribedSegment]


def find_split(path: Path, files: list[Path]) -> str | None:
    """Return the split of a file's comments, if there are a train.jsonl and a test.jsonl; else None."""
    stems = {file: file.name.lower().partition(".")[0] for file in files}
    if not {"train", "test"} <= set(stems.values()):
        return None
    return "test" if stems[path] == "test" else "train"


def read_examples(path: Path, known_paths: dict[LabelPath, str]) -> Iterator[Example]:
    """Yield the conversations of one file; the first invalid one raises `InputError`."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        try:
            *_, user, assistant = to_messages(row)
            yield Example(f"{path}:{number}", row, user["content"], parse_answer(assistant["content"], known_paths))
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}") from None


def read_turns(files: list[Path], labels: AnswerLabels, known_paths: dict[LabelPath, str]) -> Iterator[str]:
    """Yield the user turns of all files, and add the labels of the answers to `labels`."""
    for path in files:
        for example in read_examples(path, known_paths):
            try:
                labels.add_labels(example.segments)
            except ValueError as error:
                raise InputError(f"{example.location}: {error}") from None
            yield example.turn


def yield_comments(files: list[Path], wrapper: Wrapper, known_paths: dict[LabelPath, str]) -> Iterator[Row]:
    """Yield the canonical comments of all files. The id of a comment without one comes from its text."""
    locations: dict[str, str] = {}
    for path in files:
        split = find_split(path, files)
        for location, row, turn, described in read_examples(path, known_paths):
            segments = [segment for segment, _ in described]
            try:
                text = wrapper.extract_comment(turn)
                wrapper.check_contents(text, segments)
                identity = choose_id(row, text, locations)
            except ValueError as error:
                raise InputError(f"{location}: {error}") from None
            locations[identity] = location
            levels = tuple(f"L{depth}" for depth in range(1, len(segments[0].path) + 1))
            fields = {"id": identity, "lang": row.get("lang"), "text": text, "split": row.get("split") or split}
            fields = {key: value for key, value in fields.items() if value is not None}
            yield {**fields, "segments": [make_segment_row(segment, levels) for segment in segments]}


def choose_id(row: Row, text: str, locations: dict[str, str]) -> str:
    """Return the row's id, or a new one made from its text. Raises `ValueError` if the id is in `locations` already."""
    if row.get("id") is not None:
        identity = str(row["id"])
        if identity in locations:
            raise ValueError(f"duplicate id '{identity}' (first used in {locations[identity]}); ids must be unique")
        return identity
    identity = base = f"nova-{hash_text(text)}"
    copies = 1
    while identity in locations:
        copies += 1
        identity = f"{base}-{copies}"
    return identity


def describe_result(labels: AnswerLabels, wrapper: Wrapper, counts: tuple[int, int]) -> list[str]:
    """Return the lines to print: the counts, the prompt that was found, and conflicting descriptions."""
    before, after = wrapper.before, wrapper.after
    prompt = f"{len(before)} characters before each comment" + (f" (...{before[-SHOWN:]!r})" if before else "")
    prompt += f", {len(after)} after it" + (f" ({after[:SHOWN]!r}...)" if after else "")
    return [
        f"{counts[0]} comments, {counts[1]} paths of {labels.depth} levels",
        f"prompt that was removed: {prompt}",
        *labels.describe_conflicts(),
    ]


def convert_nova(raw: Path, out: Path) -> list[str]:
    """Write comments.jsonl and taxonomy.csv from the files below `raw`; return the lines to print."""
    files = find_files(raw, is_jsonl, "no .jsonl or .jsonl.gz file; put conversations there (see data/nova/README.md)")
    table = raw / "taxonomy.csv"
    taxonomy = load_taxonomy(table) if table.is_file() else None
    known_paths = taxonomy.leaves if taxonomy else {}
    prompt = raw / PROMPT
    labels = AnswerLabels()
    wrapper = find_common_wrapper(read_turns(files, labels, known_paths))
    if prompt.is_file():
        wrapper = read_wrapper(prompt)
    if wrapper is None:
        raise InputError(f"{raw}: all user turns are equal, so the comment cannot be found; {FIX}")
    if taxonomy and len(taxonomy.levels) != labels.depth:
        raise InputError(
            f"{table}: expected {labels.depth} levels like the answers, got {len(taxonomy.levels)}; correct the table"
        )
    write_jsonl(out / "comments.jsonl", yield_comments(files, wrapper, known_paths))
    leaves = known_paths or labels.leaves
    write_atomically(out / "taxonomy.csv", lambda file: file.write_bytes(format_taxonomy_csv(leaves).encode()))
    return describe_result(labels, wrapper, (count_lines(out / "comments.jsonl"), len(leaves)))
