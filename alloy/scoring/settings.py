"""The section `score` of params.yaml."""

from typing import Self

from pydantic import Field, model_validator

from alloy.core.setting_errors import make_error
from alloy.core.settings import SEED_LIMIT, Section


class Score(Section):
    """`resamples`: number of bootstrap resamples for the 95 % intervals; `seed`: their seed.

    A leaf with more than `head` training segments is in the group head. A leaf with fewer than `tail` is in the tail.
    """

    key = "score"
    resamples: int = Field(default=1000, ge=100, le=100_000)
    head: int = 100
    tail: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)

    @model_validator(mode="after")
    def _check_head_and_tail(self) -> Self:
        if self.head < self.tail:
            raise make_error("head", self.head, f"an integer of at least score.tail ({self.tail})")
        return self
