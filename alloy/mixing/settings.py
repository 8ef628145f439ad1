"""The sections `mix` and `rehearse` of params.yaml."""

import math
from enum import Enum
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from alloy.core.setting_errors import make_error
from alloy.core.settings import SEED_LIMIT, Section


class Unit(Enum):
    """What `ratio` and `total` count: examples, tokens, or loss tokens (those that the loss is computed on)."""

    examples = "examples"
    tokens = "tokens"
    loss_tokens = "loss_tokens"


class General(Enum):
    """Where the answers of general examples are from: the data, or the base model itself."""

    data = "data"
    self = "self"


class Budget(Enum):
    """What stays the same when the ratio changes: all customer examples, or the `total` size of the mix."""

    keep_customer = "keep_customer"
    total = "total"


class Rehearse(Section):
    """The base model's own answers to general prompts. They are used if `mix.general` is `self`.

    - `rows`: number of general prompts to answer, at most
    - `max_new_tokens`: longer answers are not used
    - `seed`: seed of the choice of prompts. If it equals the `seed` of params.yaml, they are the first rows that `mix`
      samples.
    """

    key = "rehearse"
    rows: int = Field(default=5000, ge=1)
    max_new_tokens: int = Field(default=1024, ge=1)
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)


class Mix(Section):
    """The training mix of customer rows and general rows.

    - `ratio`: share of general rows in the mix, counted in `unit`
    - `general`: whose answers the general rows have
    - `sources`: weights of sources or categories among the general rows; empty: the proportions of the data
    - `budget`: what stays the same when `ratio` changes
    - `total`: size of the mix in `unit`, if `budget` is `total`
    - `repeat`: repeat rows if there are too few
    """

    key = "mix"
    ratio: float = Field(default=0.0, ge=0, le=1)
    unit: Unit = Unit.examples
    general: General = General.data
    sources: dict[str, float] = Field(default_factory=dict)
    budget: Budget = Budget.keep_customer
    total: int | None = Field(default=None, ge=1)
    repeat: bool = False

    @field_validator("sources", mode="before")
    @classmethod
    def _read_null_as_empty(cls, value: Any) -> Any:  # noqa: ANN401 (not checked yet)
        return {} if value is None else value

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        for name, weight in self.sources.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise make_error(f"sources.{name}", weight, "a weight of 0 or more")
        if self.sources and not any(self.sources.values()):
            raise make_error("sources", self.sources, "at least one weight above 0")
        if self.budget is Budget.total and self.total is None:
            fix = "set mix.total to the size of the mix, or mix.budget: keep_customer"
            raise make_error("total", None, "an integer of at least 1", fix)
        if self.budget is not Budget.total and self.total is not None:
            raise make_error("total", self.total, "null", "remove mix.total, or set mix.budget: total")
        return self
