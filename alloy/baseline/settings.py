"""The section `svm` of params.yaml."""

from pydantic import Field

from alloy.core.settings import Section


class Svm(Section):
    """The baseline, a linear support vector machine: `c` weighs errors against a simple model."""

    key = "svm"
    c: float = Field(default=1.0, gt=0)
