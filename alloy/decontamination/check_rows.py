"""Check general rows block by block: their format, and the text that they share with a test.

The main process checks whether the chat template of the base model can render the rows, so that the worker processes
need no tokenizer. It renders one row for each sequence of roles, since there are few of these. Only rows that depend on
more than their roles, such as those with reasoning, are rendered one by one (`is_rendered_alone`).
"""

import re
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
from alloy.decontamination.held_out import hash_prompt
from alloy.decontamination.ngram_overlap import Overlap, OverlapIndex
from alloy.formats.general import check_general, count_unknown_keys
from alloy.formats.origin import read_origin
from alloy.modeling.chat_examples import find_role_problem, find_template_problem, is_rendered_alone

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Roles = tuple[str, ...]


@dataclass
class CheckedBlock:
    """The results for the rows of a block. Rows are identified by their index in the block.

    - `lines`: line number of each row
    - `ids`, `keys`: id and prompt key of each row; "" and 0 for a bad row
    - `bad`: the reason, for each bad row
    - `dropped`: the report, for each row that shares text with a test
    - `roles`: the rows with each sequence of roles, without those in `alone`
    - `alone`: the messages of rows that are rendered one by one
    - `unknown`: number of rows with each unknown key
    """

    lines: list[int]
    ids: list[str]
    keys: list[int]
    bad: dict[int, str]
    dropped: dict[int, Row]
    roles: dict[Roles, list[int]] = field(default_factory=dict)
    alone: dict[int, list[Row]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)


def check_block(
    path: Path,
    overlap_index: OverlapIndex,
    names: list[str],
    lines: list[tuple[int, bytes]],
    controls: re.Pattern[str] | None = None,
) -> CheckedBlock:
    """Check a block of numbered lines of the file `path`.

    `names` are those of the tests in the index, `controls` finds the control tokens of the base model's tokenizer.
    """
    block = CheckedBlock([number for number, _ in lines], [""] * len(lines), [0] * len(lines), {}, {})
    texts: list[tuple[int, str]] = []  # each message, with the index of its row
    rows: dict[int, Row] = {}
    for index, (number, line) in enumerate(lines):
        row = decode_line(path, number, line)
        if isinstance(row, InputError):
            block.bad[index] = str(row).removeprefix(f"{path}:{number}: ")
        elif error := check_general(row):
            block.bad[index] = error
        else:
            rows[index] = row
            texts += [(index, turn["content"]) for turn in row["messages"]]
            _add_row(block, index, row, controls)
    overlaps: dict[int, Overlap] = {}
    for (index, _), overlap in zip(texts, overlap_index.find_overlaps([text for _, text in texts]), strict=True):
        if overlap:
            overlaps.setdefault(index, overlap)
    for index, overlap in overlaps.items():
        name = {"id": rows[index]["id"], "source": rows[index]["source"]}
        block.dropped[index] = {**name, "why": overlap.kind, "test": names[overlap.test], "shared": overlap.shared}
    return block


def _add_row(block: CheckedBlock, index: int, row: Row, controls: re.Pattern[str] | None) -> None:
    """Add a valid row to `block`: its id, prompt key, unknown keys, and what the chat template must render."""
    block.ids[index], block.keys[index] = row["id"], hash_prompt(row)
    count_unknown_keys(row, block.unknown)
    if is_rendered_alone(row["messages"], controls):
        block.alone[index] = row["messages"]
    else:
        block.roles.setdefault(tuple(turn["role"] for turn in row["messages"]), []).append(index)


@dataclass(frozen=True)
class CheckedRows:
    """The results for all rows of a file. Rows are identified by their index in the file.

    - `keys` (rows,): prompt keys
    - `rejected`: the report, for each bad row
    - `dropped`: the report, for each row that shares text with a test
    - `unknown`: number of rows with each unknown key
    """

    keys: npt.NDArray[np.uint64]
    rejected: dict[int, Row]
    dropped: dict[int, Row]
    unknown: Counter[str]


def collect_blocks(
    path: Path, blocks: Iterable[CheckedBlock], tokenizer: "PreTrainedTokenizerBase | None", on_bad_row: BadRow
) -> CheckedRows:
    """Join the checked blocks of the file `path`.

    A row is bad if it is malformed, if an earlier row has its id, or if the chat template of `tokenizer` cannot
    render it. Without a tokenizer the last check is skipped. If `on_bad_row` is `stop`, all bad rows are raised as one
    `InputError`. Errors and reports name the file and line from which a row was prepared (`alloy/formats/origin.py`).
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
        for index, identity in enumerate(block.ids):
            if index not in bad and identity in seen:
                bad[index] = f"duplicate id '{identity}'; ids must be unique"
            seen.add(identity)
        if tokenizer is not None:
            for index, reason in _find_unusable(block, tokenizer):
                bad.setdefault(index, reason)
        if on_bad_row is BadRow.stop:
            errors += (origin.format_error(block.lines[index], bad[index]) for index in sorted(bad))
        start = len(keys)
        for index in sorted(bad):
            report = {"line": block.lines[index], "id": block.ids[index] or None, "reason": bad[index]}
            rejected[start + index] = origin.name_source(report)
        dropped |= {start + index: report for index, report in block.dropped.items() if index not in bad}
        keys.extend(block.keys)
        unknown.update(block.unknown)
    if errors:
        raise bad_general_rows(errors)
    return CheckedRows(np.frombuffer(keys, np.uint64), rejected, dropped, unknown)


def _find_unusable(block: CheckedBlock, tokenizer: "PreTrainedTokenizerBase") -> Iterable[tuple[int, str]]:
    """Yield the index of each row that the chat template cannot render, and the reason."""
    for roles, indices in block.roles.items():
        if reason := find_role_problem(tokenizer, roles):
            yield from ((index, reason) for index in indices)
    for index, messages in block.alone.items():
        if reason := find_template_problem(tokenizer, messages):
            yield index, reason
