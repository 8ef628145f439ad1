"""The sections `mix` and `rehearse` of params.yaml."""

import math
from enum import Enum
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from alloy.core.settings import SEED_LIMIT, Section, refuse


class Unit(Enum):
    """What the general share is a share of: examples, their tokens, or the tokens that the loss is taken over."""

    examples = "examples"
    tokens = "tokens"
    loss_tokens = "loss_tokens"


class General(Enum):
    """Whose answers general examples end in: those of the data, or the base model's own."""

    data = "data"
    self = "self"


class Budget(Enum):
    """What is held fixed when the ratio changes: all customer examples, or the `total` of both."""

    keep_customer = "keep_customer"
    total = "total"


class Rehearse(Section):
    """The base model's own answers, where `mix.general` is self.

    `rows`: how many general prompts it is asked at most; `seed`: of their choice, the rows that `mix` takes first if it
    is params.yaml's `seed`; `max_new_tokens`: an answer that is longer is not used.
    """

    key = "rehearse"
    rows: int = Field(default=5000, ge=1)
    max_new_tokens: int = Field(default=1024, ge=1)
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)


class Mix(Section):
    """`ratio`: share of the general rows in the training set, counted in `unit`.

    `sources`: weights of sources or categories among the general rows; none: as the data has them. `total`: how large
    the whole is, in `unit`, where `budget` is that. `repeat`: take rows again where there are too few.
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
    def _null_is_none_of_them(cls, given: Any) -> Any:  # noqa: ANN401 (not checked yet)
        return {} if given is None else given

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, weight in self.sources.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise refuse(f"sources.{name}", weight, "a weight of 0 or more")
        if self.sources and not any(self.sources.values()):
            raise refuse("sources", "weights of 0 alone", "one weight above 0")
        if self.budget is Budget.total and self.total is None:
            raise refuse("total", None, "how large the mix is, as mix.budget is total")
        if self.budget is not Budget.total and self.total is not None:
            raise refuse("total", self.total, "null, or mix.budget: total; now all customer examples stay")
        return self
