"""The section `gate` of params.yaml."""

from difflib import get_close_matches
from math import inf
from typing import Any, Self

from pydantic import ConfigDict, model_validator

from alloy.comparison.metrics import BY_NAME, METRICS
from alloy.core.setting_errors import make_error
from alloy.core.settings import Section

GATED = [metric.name for metric in METRICS if metric.compared]


class Gate(Section):
    """How much worse than the base model the tuned model may be, for any metric of the comparison; null: no limit.

    A limit is an absolute difference: from 0 to 1 for a share, at least 0 for a metric in nats. Limits are by part and
    key, as metrics are: `{leak: 0.05, mmlu: {acc: 0.02}}`. Tasks of the profile are under `general`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]  # pyright: ignore[reportIncompatibleVariableOverride] (pydantic allows it)
    key = "gate"

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for part, limits in self.__pydantic_extra__.items():
            if part not in GATED and limits is not None and not isinstance(limits, dict):
                likely = get_close_matches(part, GATED, 3)
                expected = (
                    f"a metric such as {', '.join(likely)}" if likely else "limits by metric, such as `acc: 0.02`"
                )
                raise make_error(part, limits, expected)
        for name, limit in self._list_limits_by_name().items():
            if name not in GATED and not name.startswith("general."):
                known = get_close_matches(name, GATED, 3) or [*GATED[:5], ".."]
                raise make_error(name, name, f"a metric such as {', '.join(known)}")
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
                raise make_error(name, limit, "a number such as 0.02, or null")
            is_share = name not in BY_NAME or not BY_NAME[name].unit
            if limit is not None and not (0 <= limit <= 1 if is_share else 0 <= limit < inf):
                raise make_error(name, limit, f"a number {'from 0 to 1' if is_share else 'of at least 0'}, or null")
        return self

    def _list_limits_by_name(self) -> dict[str, Any]:
        """Return the limits in params.yaml by metric name, not checked yet."""
        named: dict[str, Any] = {}
        for part, limits in self.__pydantic_extra__.items():
            if part in GATED:
                named[part] = limits
            else:
                named |= {f"{part}.{key}": limit for key, limit in (limits or {}).items()}
        return named

    def get_limits(self) -> dict[str, float]:
        """Return the limit of each metric that has one."""
        return {name: float(limit) for name, limit in self._list_limits_by_name().items() if limit is not None}
