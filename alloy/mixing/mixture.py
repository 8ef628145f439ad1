"""Draw the rows of a mix: measure them, group them by `mix.sources`, and explain when there are too few.

Only rows that fit `train.max_length` are drawn, so that ratio, unit and budget hold for the rows that are trained on.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alloy.core.files import InputError
from alloy.core.text import normalize_text
from alloy.formats.general import CUSTOMER
from alloy.mixing.nova_names import get_canonical_categories
from alloy.mixing.proportional_sampler import (
    MAX_REPEATS,
    DrawnRow,
    TooFewRowsError,
    compute_targets,
    repeat_rows,
    sample_all,
    sample_total,
)
from alloy.mixing.row_index import RowIndex, RowKind
from alloy.mixing.settings import Budget, General, Mix, Unit
from alloy.modeling.chat_examples import AssistantTurns, count_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BLOCK = 512  # rows whose tokens are counted at a time
ALL_GENERAL = "general"  # the only group, if `mix.sources` is empty


@dataclass(frozen=True)
class Encoding:
    """How training encodes a row: the tokenizer, the assistant turns that are trained on, and the longest row.

    A row of more than `max_length` tokens is left out. With `stop`, such a row raises `InputError`.
    """

    tokenizer: "PreTrainedTokenizerBase"
    turns: AssistantTurns
    max_length: int
    stop: bool


class RowSizes:
    """The size of each row in a unit. Tokens are counted when they are first needed.

    Without an encoding (a hosted model has no tokenizer here), every row fits and only examples can be counted.
    """

    def __init__(self, row_index: RowIndex, unit: Unit, encoding: Encoding | None) -> None:
        self.row_index, self.unit, self.encoding = row_index, unit, encoding
        self.counts = np.full((len(row_index.table), 2), -1, np.int32)

    def count_row_tokens(self, indices: np.ndarray) -> np.ndarray:
        """Return (rows, 2): the tokens of each row, and its loss tokens (those that the loss is computed on)."""
        missing = np.unique(indices[self.counts[indices, 0] < 0])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            assert self.encoding is not None
            rows = [self.row_index.read_row(index) for index in block.tolist()]
            self.counts[block] = count_tokens(rows, self.encoding.tokenizer, self.encoding.turns)
        return self.counts[indices]

    def measure_rows(self, indices: np.ndarray, block_size: int = BLOCK) -> Iterator[tuple[int, int]]:
        """Yield (index, size) of the rows that fit, in the order of `indices`. Blocks of rows are encoded together."""
        for start in range(0, len(indices), block_size):
            block = indices[start : start + block_size]
            if self.encoding is None:
                yield from ((index, 1) for index in block.tolist())
                continue
            tokens = self.count_row_tokens(block)
            fits = tokens[:, 0] <= self.encoding.max_length
            if self.encoding.stop and not fits.all():
                raise InputError(self._describe_too_long(block, tokens[:, 0]))
            ones = np.ones(len(block), np.int32)
            size = {Unit.examples: ones, Unit.tokens: tokens[:, 0], Unit.loss_tokens: tokens[:, 1]}[self.unit]
            yield from zip(block[fits].tolist(), size[fits].tolist(), strict=True)

    def _describe_too_long(self, indices: np.ndarray, tokens: np.ndarray) -> str:
        """Return the error about the rows of one block that are too long. Other blocks may have more."""
        assert self.encoding is not None
        longest = int(np.argmax(tokens))
        row = self.row_index.read_row(int(indices[longest]))
        count = int((tokens > self.encoding.max_length).sum())
        return (
            f"train.max_length: at least {count} rows have more than {self.encoding.max_length} tokens (such as "
            f"'{row['id']}' of {row['source']} with {tokens[longest]}); raise train.max_length in the profile, or set "
            "train.on_long_row: drop"
        )

    def count_too_long(self) -> Counter[str]:
        """Return, by source, how many of the rows counted so far exceed the longest length."""
        if self.encoding is None:
            return Counter()
        kinds = self.row_index.table["kind"][self.counts[:, 0] > self.encoding.max_length]
        return Counter(self.row_index.kinds[kind].source for kind in kinds.tolist())


def group_kinds(sources: dict[str, float], kinds: list[RowKind]) -> tuple[dict[str, float], dict[str, list[int]]]:
    """Return the weight of each group of rows, and which of `kinds` are in it.

    1. A name in `sources` is a source, a category, or Amazon Nova's name of a category (nova_names.py). Names are
       normalized (`normalize_text`), and weights of equal names add up.
    2. The weights of names that mean the same category add up.
    3. Rows of a name with weight 0 are in no other group.
    4. Without `sources`, all rows are one group.

    Raises `InputError` if a name with a weight matches no row, or if two groups share rows.
    """
    if not sources:
        return {ALL_GENERAL: 1.0}, {ALL_GENERAL: list(range(len(kinds)))}
    sources = _normalize_weights(sources)
    labels = [(normalize_text(source), normalize_text(category)) for source, category, _ in kinds]
    weights: dict[str, float] = {}
    group_names: dict[str, set[str]] = {}
    for name, matched in _resolve_names(sources, {label for names in labels for label in names}).items():
        group = next((known for known, others in group_names.items() if others == matched), name)
        weights[group] = weights.get(group, 0.0) + sources[name]
        group_names[group] = matched
    excluded = {label for name, matched in group_names.items() if not weights[name] for label in matched}
    groups = {
        name: [
            index
            for index, names in enumerate(labels)
            if matched & set(names) and not (weights[name] and excluded & set(names))
        ]
        for name, matched in group_names.items()
    }
    for index, (source, category) in enumerate(labels):
        owners = [name for name, indices in groups.items() if weights[name] and index in indices]
        if len(owners) > 1:
            raise InputError(
                f"params.yaml: mix.sources: {' and '.join(owners)} both match rows of source {source} and category "
                f"{category}; use only source names or only category names for them"
            )
    return weights, groups


def _normalize_weights(sources: dict[str, float]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for name, weight in sources.items():
        normal = normalize_text(name)
        weights[normal] = weights.get(normal, 0.0) + weight
    return weights


def _resolve_names(sources: dict[str, float], labels: set[str]) -> dict[str, set[str]]:
    """Return the sources or categories that each name in `mix.sources` means.

    `labels` are the sources and categories of the rows. If a Nova name means several categories, the categories that
    have a name of their own in `mix.sources` are not included.
    """
    nova = {name: set(get_canonical_categories(name)) for name in sources}
    matched = {name: {name} if name in labels else categories for name, categories in nova.items()}
    single = {label for name, found in matched.items() if sources[name] and len(found) == 1 for label in found}
    matched = {name: found - single if len(found) > 1 else found for name, found in matched.items()}
    if absent := [name for name, found in matched.items() if sources[name] and not found & labels]:
        raise InputError(
            f"params.yaml: mix.sources: no general row has the source or category {', '.join(absent)}; use names among "
            f"{', '.join(sorted(labels))}"
        )
    return matched


def draw_mixture(mix: Mix, customer: RowSizes, general: RowSizes) -> tuple[list[DrawnRow], list[DrawnRow]]:
    """Return the customer rows and the general rows of the mix.

    1. Measure the customer rows; their sum and `mix.ratio` give the target sizes (`compute_targets`).
    2. If the target includes all customer rows, take them in file order. Else sample them by `sampling_order`, and sort
       them.
    3. Group the general rows by `mix.sources`, and sample each group by its weight (`proportional_sampler`).
    """
    weights, groups = group_kinds(mix.sources, general.row_index.kinds)
    comments = len(customer.row_index.table)
    all_customers = [
        DrawnRow(index, 0, size) for index, size in customer.measure_rows(np.arange(comments), max(comments, 1))
    ]
    customer_size = sum(row.size for row in all_customers)
    if comments and not customer_size and customer.encoding:
        limit = customer.encoding.max_length
        raise InputError(
            f"train.max_length: all {comments} customer rows have more than {limit} tokens; raise train.max_length in "
            "the profile"
        )
    total = mix.total if mix.budget is Budget.total else None
    customer_target, general_target = compute_targets(mix.ratio, customer_size, total)
    customers = all_customers if customer_target == customer_size else []
    try:
        if 0 < customer_target != customer_size:
            rows = customer.measure_rows(customer.row_index.list_in_order(range(len(customer.row_index.kinds))))
            customers = sample_total({CUSTOMER: repeat_rows(rows, mix.repeat)}, {CUSTOMER: 1.0}, customer_target)
            customers.sort(key=lambda row: (row.repetition, row.index))
        repeat = mix.repeat and general_target is not None
        in_order = {name: general.row_index.list_in_order(kinds) for name, kinds in groups.items() if weights[name] > 0}
        rows_by_group = {name: repeat_rows(general.measure_rows(indices), repeat) for name, indices in in_order.items()}
        if general_target is None:
            generals = sample_all(rows_by_group, weights)
        else:
            generals = sample_total(rows_by_group, weights, general_target)
    except TooFewRowsError as shortage:
        left_out = sum((customer if shortage.name == CUSTOMER else general).count_too_long().values())
        raise InputError(_describe_shortage(shortage, mix, customer_target, general_target or 0, left_out)) from None
    if not customers and not generals and total is not None:
        raise InputError(
            f"params.yaml: mix.total: no row is small enough for {total} {_name_unit(mix.unit)}; raise mix.total"
        )
    if not customers and not generals:
        raise InputError(
            f"params.yaml: mix.ratio: {mix.ratio} takes only general rows, but there are none; lower mix.ratio, or add "
            "general data"
        )
    return customers, generals


def _name_unit(unit: Unit) -> str:
    return {Unit.examples: "rows", Unit.tokens: "tokens", Unit.loss_tokens: "loss tokens"}[unit]


def _describe_shortage(
    shortage: TooFewRowsError, mix: Mix, customer_target: int, general_target: int, left_out: int
) -> str:
    unit = _name_unit(mix.unit)
    repeat = [] if mix.repeat else ["set mix.repeat: true"]
    notes = [f"with each row {MAX_REPEATS} times"] if mix.repeat and shortage.total else []
    notes += [f"{left_out} rows have more than train.max_length tokens"] if left_out else []
    note = f" ({'; '.join(notes)})" if notes else ""
    total = mix.total if mix.budget is Budget.total else None
    if shortage.name == CUSTOMER:
        lower = f"lower mix.total to {math.floor(shortage.total / (1 - mix.ratio))}"
        return (
            f"params.yaml: mix.total: {mix.total} needs {customer_target} customer {unit}, got {shortage.total}{note}; "
            f"{_join_choices([lower, *repeat])}"
        )
    if shortage.name != ALL_GENERAL:
        lower = "the weight or mix.ratio" if total is None else "the weight, mix.ratio or mix.total"
        return (
            f"params.yaml: mix.sources.{shortage.name}: its rows ran out when the mix had {shortage.total} of "
            f"{general_target} general {unit}{note}; {_join_choices([f'lower {lower}', *repeat])}"
        )
    more = "raise rehearse.rows" if mix.general is General.self else "add general data"
    if total is None:
        ratio = math.floor(1000 * shortage.total / (shortage.total + customer_target)) / 1000
        lower = f"lower mix.ratio to {ratio}"
    else:
        lower = f"lower mix.total to {math.floor(shortage.total / mix.ratio)}"
    return (
        f"params.yaml: mix.ratio: {mix.ratio} needs {general_target} general {unit} for {customer_target} customer "
        f"{unit}, got {shortage.total}{note}; {_join_choices([more, lower, *repeat])}"
    )


def _join_choices(choices: list[str]) -> str:
    """Return the fixes that a user may choose from, as text.

    >>> _join_choices(["add general data", "lower mix.ratio to 0.8"])
    'add general data, or lower mix.ratio to 0.8'
    """
    return ", or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)
