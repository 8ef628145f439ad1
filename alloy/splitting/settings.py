"""The section `split` of params.yaml."""

from pydantic import Field

from alloy.core.settings import BadRow, Section


class Split(Section):
    """`test`: share of the comments held out, unless each comment names its `split`.

    `near`: likeness (Jaccard index of parts of the texts) from which on two comments stay on one side; at 1 only copies
    do, below it also those that differ in one word.
    """

    key = "split"
    test: float = Field(default=0.2, ge=0, le=1)
    near: float = Field(default=0.8, ge=0.7, le=1)
    on_bad_row: BadRow = BadRow.stop
