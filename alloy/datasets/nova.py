"""Convert training data of Amazon Nova, conversations in Converse format, to canonical comments and their taxonomy.

The raw files are JSON Lines (.jsonl, .jsonl.gz), one conversation per line; taxonomy.csv and prompt.txt if they exist.

The comment is the last user turn without what all user turns share; its labels are the assistant's last turn. The files
are read twice, since prompts with a taxonomy in them may be too long to be held in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, Row, count_lines, decode_lines, find_files, is_jsonl, write_jsonl, write_whole
from alloy.core.text import text_hash
from alloy.datasets.nova_labels import Labelled, Seen, parse_answer, taxonomy_csv
from alloy.datasets.nova_prompt import MEND, PROMPT, Wrapper, common_wrapper, read_wrapper
from alloy.formats.comments import segment_row
from alloy.formats.converse import to_messages
from alloy.formats.taxonomy import LabelPath, load_taxonomy

SHOWN = 40  # characters of the prompt that are printed


class Example(NamedTuple):
    """One conversation: where it stands, what it says of itself, its last user turn and what is in the answer."""

    place: str
    row: Row
    turn: str
    labelled: list[Labelled]


def split_of(path: Path, files: list[Path]) -> str | None:
    """Return the side of a file's comments: beside a train.jsonl, those of test.jsonl are the test set."""
    stems = {file: file.name.lower().partition(".")[0] for file in files}
    if not {"train", "test"} <= set(stems.values()):
        return None
    return "test" if stems[path] == "test" else "train"


def examples(path: Path, known: dict[LabelPath, str]) -> Iterator[Example]:
    """Yield the conversations of one file; the first with a fault raises `InputError`."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        try:
            *_, user, assistant = to_messages(row)
            yield Example(f"{path}:{number}", row, user["content"], parse_answer(assistant["content"], known))
        except ValueError as fault:
            raise InputError(f"{path}:{number}: {fault}") from None


def survey(files: list[Path], seen: Seen, known: dict[LabelPath, str]) -> Iterator[str]:
    """Yield the user turns of all files, and add what the answers have to `seen`."""
    for path in files:
        for example in examples(path, known):
            try:
                seen.add(example.labelled)
            except ValueError as fault:
                raise InputError(f"{example.place}: {fault}") from None
            yield example.turn


def comments(files: list[Path], wrapper: Wrapper, known: dict[LabelPath, str]) -> Iterator[Row]:
    """Yield the canonical comments of all files; one without an id is named by its text."""
    places: dict[str, str] = {}
    for path in files:
        side = split_of(path, files)
        for place, row, turn, labelled in examples(path, known):
            segments = [segment for segment, _ in labelled]
            try:
                text = wrapper.comment(turn)
                wrapper.check(text, segments)
                identity = name(row, text, places)
            except ValueError as fault:
                raise InputError(f"{place}: {fault}") from None
            places[identity] = place
            levels = tuple(f"L{depth}" for depth in range(1, len(segments[0].path) + 1))
            given = {"id": identity, "lang": row.get("lang"), "text": text, "split": row.get("split") or side}
            given = {key: value for key, value in given.items() if value is not None}
            yield {**given, "segments": [segment_row(segment, levels) for segment in segments]}


def name(row: Row, text: str, places: dict[str, str]) -> str:
    """Return an id that is not in `places`: the row's own, else one by its text; one taken raises `ValueError`."""
    if row.get("id") is not None:
        identity = str(row["id"])
        if identity in places:
            raise ValueError(f"id '{identity}' stands already in {places[identity]}; give each its own id")
        return identity
    identity = by_text = f"nova-{text_hash(text)}"
    copies = 1
    while identity in places:
        copies += 1
        identity = f"{by_text}-{copies}"
    return identity


def report(seen: Seen, wrapper: Wrapper, counts: tuple[int, int]) -> list[str]:
    """Return the lines that say what came out, what was taken for the prompt and which descriptions were left."""
    before, behind = wrapper.before, wrapper.behind
    prompt = f"{len(before)} characters before each comment" + (f" (..{before[-SHOWN:]!r})" if before else "")
    prompt += f", {len(behind)} behind it" + (f" ({behind[:SHOWN]!r}..)" if behind else "")
    return [
        f"{counts[0]} comments, {counts[1]} paths of {seen.depth} levels",
        f"taken for the prompt and left out: {prompt}",
        *seen.doubts(),
    ]


def convert_nova(raw: Path, out: Path) -> list[str]:
    """Write comments.jsonl and taxonomy.csv from the files below `raw`, which are read twice; return what to print."""
    files = find_files(raw, is_jsonl, "no .jsonl or .jsonl.gz file; put conversations there (see data/nova/README.md)")
    table = raw / "taxonomy.csv"
    given = load_taxonomy(table) if table.is_file() else None
    known = given.leaves if given else {}
    prompt = raw / PROMPT
    seen = Seen()
    wrapper = common_wrapper(survey(files, seen, known))
    if prompt.is_file():
        wrapper = read_wrapper(prompt)
    if wrapper is None:
        raise InputError(f"{raw}: all user turns are alike, nothing shows where the comment is; {MEND}")
    if given and len(given.levels) != seen.depth:
        raise InputError(f"{table}: {len(given.levels)} levels, and the answers have {seen.depth}; give both the same")
    write_jsonl(out / "comments.jsonl", comments(files, wrapper, known))
    leaves = known or seen.leaves
    write_whole(out / "taxonomy.csv", lambda part: part.write_bytes(taxonomy_csv(leaves).encode()))
    return report(seen, wrapper, (count_lines(out / "comments.jsonl"), len(leaves)))
