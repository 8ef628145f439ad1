"""Count the tokens of training examples before they are mixed: of comments, and of general rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson

from alloy.commands.estimate_training import ExampleTotals
from alloy.core.files import Row, number_lines
from alloy.labeling.prompt import Prompts
from alloy.mixing.customer_examples import build_customer_rows
from alloy.mixing.row_index import RowKind
from alloy.modeling.chat_examples import AssistantTurns, count_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST, SAMPLE = 500, 3_500  # of many comments, how many are counted: the longest ones, and a sample of the others
GENERAL_SAMPLE = 500  # general rows that are counted
BLOCK = 512  # rows that are encoded together


@dataclass(frozen=True)
class CommentTokens:
    """The lengths of examples.

    - `counts` (n, 2): tokens of each counted example, and how many of them have a loss
    - `weight` (n,): number of examples that each counted example represents
    - `exact`: whether all examples were counted, not only a sample
    """

    counts: np.ndarray
    weight: np.ndarray
    exact: bool

    def sum_fitting(self, max_length: int) -> ExampleTotals:
        """Return the totals of the examples that have at most `max_length` tokens."""
        fits = self.counts[:, 0] <= max_length
        parts = [
            ExampleTotals.from_counts(self.counts[fits & (self.weight == value)], float(value))
            for value in np.unique(self.weight)
        ]
        return add_totals(parts)

    def count_too_long(self, max_length: int) -> int:
        """Return the number of examples of more than `max_length` tokens; an estimate if only a sample was counted."""
        return round(float(self.weight[self.counts[:, 0] > max_length].sum()))


def add_totals(parts: list[ExampleTotals]) -> ExampleTotals:
    """Return the sum of several totals."""
    total = ExampleTotals()
    for part in parts:
        total = total.add(part)
    return total


def count_comments(
    lines: list[bytes], prompts: Prompts, tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns
) -> CommentTokens:
    """Count the tokens of labeled comments (canonical JSON lines), encoded as in training.

    1. Up to `LONGEST + SAMPLE` comments are all counted.
    2. If there are more, count the `LONGEST` longest lines and an even sample of `SAMPLE` other lines. Each line of the
       sample gets the weight (other lines / `SAMPLE`).
    """
    chosen, weight = choose_lines([len(line) for line in lines])
    rows = build_customer_rows(prompts, [orjson.loads(lines[number]) for number in chosen.tolist()])
    return CommentTokens(_count_in_blocks(rows, tokenizer, turns), weight, exact=len(chosen) == len(lines))


def choose_lines(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the lines to count, and the weight of each: the number of lines that it represents."""
    count = len(sizes)
    if count <= LONGEST + SAMPLE:
        return np.arange(count), np.ones(count)
    order = np.argsort(-np.asarray(sizes), kind="stable")
    others = order[LONGEST:]
    spread = others[np.linspace(0, len(others) - 1, SAMPLE).astype(int)]
    weight = np.concatenate([np.ones(LONGEST), np.full(SAMPLE, len(others) / SAMPLE)])
    return np.concatenate([order[:LONGEST], spread]), weight


@dataclass(frozen=True)
class GeneralStatistics:
    """Statistics of the general rows: the number of valid rows, their kinds, and an even sample of them."""

    rows: int
    kinds: list[RowKind]
    sample: list[Row]


def read_general_statistics(path: Path, rows: int, bad: set[int], *, kinds: bool) -> GeneralStatistics:
    """Return the statistics of a file of `rows` canonical general rows, without the rows whose indices are in `bad`.

    If `kinds` is false, only the sample is parsed, and the kinds are those of the sample.
    """
    found: dict[RowKind, None] = {}
    sample: list[Row] = []
    picked = set(np.linspace(0, rows - 1, GENERAL_SAMPLE).astype(int).tolist())
    for number, (_, line) in enumerate(number_lines(path)):
        if number in bad or not (kinds or number in picked):
            continue
        row = orjson.loads(line)
        found[RowKind(row["source"], row["category"], row.get("license"))] = None
        if number in picked:
            sample.append(row)
    return GeneralStatistics(rows - len(bad), list(found), sample)


def count_general(
    statistics: GeneralStatistics, tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns, max_length: int
) -> ExampleTotals:
    """Estimate the totals of the general rows of at most `max_length` tokens from the sample."""
    counts = _count_in_blocks(statistics.sample, tokenizer, turns)
    return ExampleTotals.from_counts(counts[counts[:, 0] <= max_length], statistics.rows / max(len(counts), 1))


def _count_in_blocks(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns) -> np.ndarray:
    parts = [count_tokens(rows[start : start + BLOCK], tokenizer, turns) for start in range(0, len(rows), BLOCK)]
    return np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)
