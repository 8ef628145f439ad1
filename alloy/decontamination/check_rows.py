"""General rows checked block by block: their form, the words they share with a test, and the key of their prompt.

Whether the chat template of the base model can render a row is found out in the parent process, by the roles of the
row: there are few kinds, and the processes that check blocks need no tokenizer. Only rows with reasoning or tool calls
are rendered one by one.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from alloy.core.files import InputError, Row, decode_line
from alloy.core.settings import BadRow, bad_general_rows
from alloy.decontamination.held_out import prompt_key
from alloy.decontamination.ngram_overlap import Hit, Index
from alloy.formats.general import check_general, count_unknown_keys
from alloy.formats.origin import read_origin
from alloy.modeling.answer_markup import has_markup
from alloy.modeling.chat_examples import why_unusable, why_unusable_roles

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Roles = tuple[str, ...]


@dataclass
class Checked:
    """A block of examples after the check; rows are known by their index in the block.

    `lines` are the numbers of their lines, `ids` and `keys` their ids and prompt keys: "" and 0 for a bad row. `bad`
    has the reason of each bad row, `dropped` the report of each that shares words with a test. `roles` are the rows of
    each order of roles, `marked` the messages of rows with reasoning or tool calls, which are not among these.
    `unknown` counts the examples with each unknown key.
    """

    lines: list[int]
    ids: list[str]
    keys: list[int]
    bad: dict[int, str]
    dropped: dict[int, Row]
    roles: dict[Roles, list[int]] = field(default_factory=dict)
    marked: dict[int, list[Row]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)


def check(path: Path, index: Index, names: list[str], lines: list[tuple[int, bytes]]) -> Checked:
    """Check a block of numbered lines of the file `path`."""
    block = Checked([number for number, _ in lines], [""] * len(lines), [0] * len(lines), {}, {})
    said: list[tuple[int, str]] = []
    rows: dict[int, Row] = {}
    for place, (number, line) in enumerate(lines):
        row = decode_line(path, number, line)
        if isinstance(row, InputError):
            block.bad[place] = str(row).removeprefix(f"{path}:{number}: ")
        elif fault := check_general(row):
            block.bad[place] = fault
        else:
            rows[place] = row
            said += [(place, turn["content"]) for turn in row["messages"]]
            _note(block, place, row)
    hits: dict[int, Hit] = {}
    for (place, _), hit in zip(said, index.hits([text for _, text in said]), strict=True):
        if hit:
            hits.setdefault(place, hit)
    for place, hit in hits.items():
        of = {"id": rows[place]["id"], "source": rows[place]["source"]}
        block.dropped[place] = {**of, "why": hit.why, "test": names[hit.owner], "shared": hit.shared}
    return block


def _note(block: Checked, place: int, row: Row) -> None:
    block.ids[place], block.keys[place] = row["id"], prompt_key(row)
    count_unknown_keys(row, block.unknown)
    if any(turn["role"] == "assistant" and has_markup(turn) for turn in row["messages"]):
        block.marked[place] = row["messages"]
    else:
        block.roles.setdefault(tuple(turn["role"] for turn in row["messages"]), []).append(place)


@dataclass(frozen=True)
class Collected:
    """All rows of a file: the prompt key of each (rows,), and by index the reports of rejected and of dropped rows."""

    keys: npt.NDArray[np.uint64]
    rejected: dict[int, Row]
    dropped: dict[int, Row]
    unknown: Counter[str]


def collect(
    path: Path, blocks: Iterable[Checked], tokenizer: "PreTrainedTokenizerBase | None", on_bad_row: BadRow
) -> Collected:
    """Put blocks together; `tokenizer` has the chat template that is to render the rows, if there is one.

    Errors name the file and the line that a row of `path` was prepared from.

    A bad row is one that is malformed, that has the id of another, or that cannot be rendered. All of them make one
    `InputError`, unless bad rows are left out.
    """
    origin = read_origin(path)
    seen: set[str] = set()
    keys = array("Q")
    errors: list[str] = []
    rejected: dict[int, Row] = {}
    dropped: dict[int, Row] = {}
    unknown: Counter[str] = Counter()
    for block in blocks:
        bad = dict(block.bad)
        for place, identity in enumerate(block.ids):
            if place not in bad and identity in seen:
                bad[place] = f"id '{identity}' stands twice; give each row its own id"
            seen.add(identity)
        if tokenizer is not None:
            for place, why in _unusable(block, tokenizer):
                bad.setdefault(place, why)
        if on_bad_row is BadRow.stop:
            errors += (origin.error(block.lines[place], bad[place]) for place in sorted(bad))
        start = len(keys)
        for place in sorted(bad):
            report = {"line": block.lines[place], "id": block.ids[place] or None, "reason": bad[place]}
            rejected[start + place] = origin.name(report)
        dropped |= {start + place: report for place, report in block.dropped.items() if place not in bad}
        keys.extend(block.keys)
        unknown.update(block.unknown)
    if errors:
        raise bad_general_rows(errors)
    return Collected(np.frombuffer(keys, np.uint64), rejected, dropped, unknown)


def _unusable(block: Checked, tokenizer: "PreTrainedTokenizerBase") -> Iterable[tuple[int, str]]:
    for roles, places in block.roles.items():
        if why := why_unusable_roles(tokenizer, roles):
            yield from ((place, why) for place in places)
    for place, messages in block.marked.items():
        if why := why_unusable(tokenizer, messages):
            yield place, why
