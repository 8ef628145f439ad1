"""The section `svm` of params.yaml."""

from pydantic import Field

from alloy.core.settings import Section


class Svm(Section):
    """The baseline, a linear support vector machine.

    `c`: the regularization parameter `C` of scikit-learn's `LinearSVC`; a smaller value gives a simpler model.
    """

    key = "svm"
    c: float = Field(default=1.0, gt=0)
