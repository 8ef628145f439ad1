"""Drawing the rows of a mix: how large each is and whether it fits, which group it is of, what to say if there are few.

Only rows that fit `train.max_length` are drawn, so that ratio, unit and budget hold for the rows that are trained on.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alloy.core.files import InputError
from alloy.formats.general import CUSTOMER
from alloy.mixing.nova_names import canonical_categories
from alloy.mixing.proportional_sampler import TIMES, Draw, TooFewError, rounds, take, take_all, targets
from alloy.mixing.row_index import Kind, Pool
from alloy.mixing.settings import Budget, General, Mix, Unit
from alloy.modeling.chat_examples import AssistantTurns, count_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BLOCK = 512  # rows whose tokens are counted at a time
ALL = "general"


@dataclass(frozen=True)
class Encoding:
    """How training encodes a row: its tokenizer, the turns that teach, and how long a row may be.

    A row over `max_length` tokens is left out, or raises `InputError` if `stop`.
    """

    tokenizer: "PreTrainedTokenizerBase"
    turns: AssistantTurns
    max_length: int
    stop: bool


class Sizes:
    """The size of each row of a pool in a unit; tokens are counted when they are first asked for.

    Without an encoding, as for a hosted model, no tokens are known: every row fits, and only examples can be counted.
    """

    def __init__(self, pool: Pool, unit: Unit, encoding: Encoding | None) -> None:
        self.pool, self.unit, self.encoding = pool, unit, encoding
        self.counts = np.full((len(pool.table), 2), -1, np.int32)

    def tokens(self, places: np.ndarray) -> np.ndarray:
        """Return (places, 2): the tokens of each row, and those that the loss is taken over."""
        missing = np.unique(places[self.counts[places, 0] < 0])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            assert self.encoding is not None
            rows = [self.pool.row(place) for place in block.tolist()]
            self.counts[block] = count_tokens(rows, self.encoding.tokenizer, self.encoding.turns)
        return self.counts[places]

    def along(self, places: np.ndarray, block: int = BLOCK) -> Iterator[tuple[int, int]]:
        """Yield (place, size) of the rows that fit, in the order of `places`, which are measured block by block."""
        for start in range(0, len(places), block):
            some = places[start : start + block]
            if self.encoding is None:
                yield from ((place, 1) for place in some.tolist())
                continue
            tokens = self.tokens(some)
            fits = tokens[:, 0] <= self.encoding.max_length
            if self.encoding.stop and not fits.all():
                raise InputError(self._too_long(some, tokens[:, 0]))
            one = np.ones(len(some), np.int32)
            size = {Unit.examples: one, Unit.tokens: tokens[:, 0], Unit.loss_tokens: tokens[:, 1]}[self.unit]
            yield from zip(some[fits].tolist(), size[fits].tolist(), strict=True)

    def _too_long(self, places: np.ndarray, tokens: np.ndarray) -> str:
        assert self.encoding is not None
        longest = int(np.argmax(tokens))
        row = self.pool.row(int(places[longest]))
        return (
            f"train.max_length: {int((tokens > self.encoding.max_length).sum())} of {len(places)} {row['source']} rows "
            f"exceed {self.encoding.max_length} tokens, '{row['id']}' with {tokens[longest]} the most; raise it in the "
            "profile, or set train.on_long_row: drop"
        )

    def too_long(self) -> Counter[str]:
        """Return by source how many of the rows that were looked at do not fit."""
        if self.encoding is None:
            return Counter()
        kinds = self.pool.table["kind"][self.counts[:, 0] > self.encoding.max_length]
        return Counter(self.pool.kinds[number][0] for number in kinds.tolist())


def weigh(sources: dict[str, float], kinds: list[Kind]) -> tuple[dict[str, float], dict[str, list[int]]]:
    """Return the weight of each group of rows, and the numbers of the kinds that are in it.

    A name in `sources` is that of a source, of a category, or Nova's for one; names of one category add up. None: all
    rows are one group. Rows of a name that weighs 0 are in no other group. A name without rows, or two that share some,
    raise.
    """
    if not sources:
        return {ALL: 1.0}, {ALL: list(range(len(kinds)))}
    weights: dict[str, float] = {}
    meant: dict[str, set[str]] = {}
    for name, called in _meanings(sources, {word for kind in kinds for word in kind[:2]}).items():
        group = next((known for known, others in meant.items() if others == called), name)
        weights[group] = weights.get(group, 0.0) + sources[name]
        meant[group] = called
    banned = {word for name, called in meant.items() if not weights[name] for word in called}
    groups = {
        name: [
            number
            for number, kind in enumerate(kinds)
            if called & set(kind[:2]) and not (weights[name] and banned & set(kind[:2]))
        ]
        for name, called in meant.items()
    }
    for number, (source, category, _) in enumerate(kinds):
        owners = [name for name, numbers in groups.items() if weights[name] and number in numbers]
        if len(owners) > 1:
            raise InputError(
                f"params.yaml: mix.sources: {' and '.join(owners)} both take rows of source {source} and category "
                f"{category}; name them by source or by category"
            )
    return weights, groups


def _meanings(sources: dict[str, float], words: set[str]) -> dict[str, set[str]]:
    """Return the sources or categories that each name means, of `words`, which the rows have.

    One of Nova's that comprises several categories leaves those that another name means.
    """
    nova = {name: set(canonical_categories(name)) for name in sources}
    meant = {name: {name} if name in words else called for name, called in nova.items()}
    single = {word for name, called in meant.items() if sources[name] and len(called) == 1 for word in called}
    meant = {name: called - single if len(called) > 1 else called for name, called in meant.items()}
    if absent := [name for name, called in meant.items() if sources[name] and not called & words]:
        raise InputError(
            f"params.yaml: mix.sources: no general row is of {', '.join(absent)}; leave that out, or name one of "
            f"{', '.join(sorted(words))}"
        )
    return meant


def draw(mix: Mix, customer: Sizes, general: Sizes) -> tuple[list[Draw], list[Draw]]:
    """Return the customer rows in their order, and the general ones, that make up the mix."""
    weights, groups = weigh(mix.sources, general.pool.kinds)
    comments = len(customer.pool.table)
    every = [Draw(place, 0, size) for place, size in customer.along(np.arange(comments), max(comments, 1))]
    whole = sum(one.size for one in every)
    if comments and not whole and customer.encoding:
        limit = customer.encoding.max_length
        raise InputError(
            f"train.max_length: all {comments} customer rows exceed {limit} tokens; raise it in the profile"
        )
    total = mix.total if mix.budget is Budget.total else None
    wanted, asked = targets(mix.ratio, whole, total)
    customers = every if wanted == whole else []
    try:
        if 0 < wanted != whole:
            rows = customer.along(customer.pool.ranked(range(len(customer.pool.kinds))))
            customers = take({CUSTOMER: rounds(rows, mix.repeat)}, {CUSTOMER: 1.0}, wanted)
            customers.sort(key=lambda one: (one.before, one.place))
        again = mix.repeat and asked is not None
        drawn = {name: general.pool.ranked(kinds) for name, kinds in groups.items() if weights[name] > 0}
        rows_of = {name: rounds(general.along(places), again) for name, places in drawn.items()}
        found = take_all(rows_of, weights) if asked is None else take(rows_of, weights, asked)
    except TooFewError as few:
        left_out = sum((customer if few.name == CUSTOMER else general).too_long().values())
        raise InputError(_too_few(few, mix, wanted, asked or 0, left_out)) from None
    if not customers and not found:
        raise InputError(f"params.yaml: mix.ratio: {mix.ratio} leaves no row; there is no general row to take")
    return customers, found


def _too_few(few: TooFewError, mix: Mix, wanted: int, asked: int, left_out: int) -> str:
    unit = {Unit.examples: "rows", Unit.tokens: "tokens", Unit.loss_tokens: "loss tokens"}[mix.unit]
    again = "" if mix.repeat else ", or set mix.repeat: true to take them again"
    there = f"{few.total}, each taken {TIMES} times" if mix.repeat and few.total else str(few.total)
    there += f" ({left_out} rows are over train.max_length)" if left_out else ""
    total = mix.total if mix.budget is Budget.total else None
    if few.name == CUSTOMER:
        return (
            f"params.yaml: mix.total: {mix.total} needs {wanted} customer {unit}, there are {there}; "
            f"go down to {math.floor(few.total / (1 - mix.ratio))}{again}"
        )
    if few.name != ALL:
        lower = "its weight or mix.ratio" if total is None else "its weight, mix.ratio or mix.total"
        return (
            f"params.yaml: mix.sources.{few.name}: its rows are used up at {there} of {asked} general {unit}; "
            f"lower {lower}{again}"
        )
    more = "raise rehearse.rows" if mix.general is General.self else "add general data"
    if total is None:
        lower = f"go down to {math.floor(1000 * few.total / (few.total + wanted)) / 1000}"
    else:
        lower = f"set mix.total down to {math.floor(few.total / mix.ratio)}"
    return (
        f"params.yaml: mix.ratio: {mix.ratio} needs {asked} general {unit} beside {wanted} customer {unit}, there are "
        f"{there}; {more}, {lower}{again}"
    )
