"""The section `decontaminate` of params.yaml."""

from pydantic import Field

from alloy.core.settings import Section


class Decontaminate(Section):
    """A general example is dropped when it shares with a test a `run` of so many words, or a whole question.

    A question of `changed` words or more also counts with one of them replaced, added or left out. `held_out` of the
    examples that are left, but no more than a tenth, are kept out of every mix and measure the general loss; 0: none.
    """

    key = "decontaminate"
    run: int = Field(default=13, ge=5)
    changed: int = Field(default=8, ge=2)
    held_out: int = Field(default=200, ge=0)
