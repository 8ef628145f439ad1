"""The section `interpolate` of params.yaml."""

from pydantic import Field

from alloy.core.settings import Section


class Interpolate(Section):
    """`alpha`: the share of the trained weights in the tuned model, the rest is the base's; 1: the trained alone."""

    key = "interpolate"
    alpha: float = Field(default=1.0, ge=0, le=1)
