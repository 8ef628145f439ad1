"""Drawing the rows of a mix: how large each is, which group it belongs to, and what to say where there are too few."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from stages.examples import count_tokens
from stages.experiment import Budget, Mix, Unit
from stages.general_data import CUSTOMER
from stages.mixture import Draw, TooFewError, rounds, take, targets
from stages.pool import Pool
from stages.records import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BLOCK = 512  # rows whose tokens are counted at a time
ALL = "general"


class Sizes:
    """The size of each row of a pool in a unit; tokens are counted when they are first asked for."""

    def __init__(self, pool: Pool, unit: Unit, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        self.pool, self.unit, self.tokenizer = pool, unit, tokenizer
        self.counts = np.full((len(pool.table), 2), -1, np.int32)

    def tokens(self, places: np.ndarray) -> np.ndarray:
        """Return (places, 2): the tokens of each row, and those of its completion."""
        missing = np.unique(places[self.counts[places, 0] < 0])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            assert self.tokenizer is not None
            self.counts[block] = count_tokens([self.pool.row(place) for place in block.tolist()], self.tokenizer)
        return self.counts[places]

    def along(self, places: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yield (place, size) in the order of `places`."""
        if self.unit is Unit.examples:
            yield from ((place, 1) for place in places.tolist())
            return
        column = [Unit.tokens, Unit.loss_tokens].index(self.unit)
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            yield from zip(block.tolist(), self.tokens(block)[:, column].tolist(), strict=True)


def group_kinds(pool: Pool, sources: dict[str, float]) -> dict[str, list[int]]:
    """Return for each name in `sources` the kinds of rows that it means, a source or a category; for none, all.

    A name that means nothing, or two that mean the same rows, raise.
    """
    if not sources:
        return {ALL: list(range(len(pool.kinds)))}
    groups = {name: [number for number, kind in enumerate(pool.kinds) if name in kind[:2]] for name in sources}
    owners: dict[int, str] = {}
    for name, kinds in groups.items():
        if not kinds:
            known = sorted({word for kind in pool.kinds for word in kind[:2]})
            raise InputError(f"params.yaml: mix.sources.{name}: no general row is of it; there are {', '.join(known)}")
        for kind in kinds:
            if kind in owners:
                raise InputError(
                    f"params.yaml: mix.sources.{name}: its rows are those of {owners[kind]}, too; name one"
                )
            owners[kind] = name
    return groups


def draw(mix: Mix, customer: Sizes, general: Sizes) -> tuple[list[Draw], list[Draw]]:
    """Return the customer rows in their order, and the general ones, that make up the mix."""
    groups = group_kinds(general.pool, mix.sources)
    weights = mix.sources or {ALL: 1.0}
    every = [Draw(place, 0, size) for place, size in customer.along(np.arange(len(customer.pool.table)))]
    whole = sum(one.size for one in every)
    total = mix.total if mix.budget is Budget.total else None
    wanted, asked = targets(mix.ratio, whole, total)
    customers = every if wanted == whole else []
    try:
        if 0 < wanted != whole:
            rows = customer.along(customer.pool.ranked(range(len(customer.pool.kinds))))
            customers = take({CUSTOMER: rounds(rows, mix.repeat)}, {CUSTOMER: 1.0}, wanted)
            customers.sort(key=lambda one: (one.before, one.place))
        drawn = {name: general.pool.ranked(kinds) for name, kinds in groups.items() if weights[name] > 0}
        if asked is None:
            found = [Draw(place, 0, size) for places in drawn.values() for place, size in general.along(places)]
        else:
            rows_of = {name: rounds(general.along(places), mix.repeat) for name, places in drawn.items()}
            found = take(rows_of, weights, asked)
    except TooFewError as few:
        raise InputError(_too_few(few, mix, wanted, asked or 0)) from None
    if not customers and not found:
        raise InputError(f"params.yaml: mix.ratio: {mix.ratio} leaves no row; there is no general row to take")
    return customers, found


def _too_few(few: TooFewError, mix: Mix, wanted: int, asked: int) -> str:
    unit = {Unit.examples: "rows", Unit.tokens: "tokens", Unit.loss_tokens: "loss tokens"}[mix.unit]
    again = "or set mix.repeat: true to take them again"
    if few.name == CUSTOMER:
        return (
            f"params.yaml: mix.total: {mix.total} needs {wanted} customer {unit}, there are {few.total}; "
            f"lower it, {again}"
        )
    if few.name != ALL:
        return (
            f"params.yaml: mix.sources.{few.name}: its rows are used up at {few.total} of {asked} general {unit}; "
            f"lower its weight or mix.ratio, {again}"
        )
    largest = math.floor(1000 * few.total / (few.total + wanted)) / 1000
    return (
        f"params.yaml: mix.ratio: {mix.ratio} needs {asked} general {unit} beside {wanted} customer {unit}, there are "
        f"{few.total}; add general data, go down to {largest}, {again}"
    )
