"""The section `split` of params.yaml."""

from typing import ClassVar

from pydantic import Field

from alloy.core.settings import BadRow, Section


class Split(Section):
    """`test`: share of the comments that are held out for testing, unless each comment names its `split`.

    `near_duplicate_threshold`: comments that are at least this similar are kept in the same set. The similarity of
    two texts is the Jaccard similarity of their shingles of five bytes. At 1, only copies are kept together. Below 1,
    comments that differ in one word are also kept together. `on_bad_row`: whether a bad row stops the stage or is
    left out.
    """

    key = "split"
    renamed: ClassVar[dict[str, str]] = {"near": "near_duplicate_threshold"}
    test: float = Field(default=0.2, ge=0, le=1)
    near_duplicate_threshold: float = Field(default=0.8, ge=0.7, le=1)
    on_bad_row: BadRow = BadRow.stop
