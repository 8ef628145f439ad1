"""The section `decontaminate` of params.yaml."""

from pydantic import Field

from alloy.core.settings import Section


class Decontaminate(Section):
    """A general example is dropped if it shares `run` words in a row, or a whole question, with a test.

    A question of at least `changed` words is also found if one word is replaced, moved, added or left out. `held_out`
    of the other examples, but at most a tenth, are never trained on: the general loss is measured on them. 0: none.
    """

    key = "decontaminate"
    run: int = Field(default=13, ge=5)
    changed: int = Field(default=8, ge=2)
    held_out: int = Field(default=200, ge=0)
