"""The gate: limits on what tuning may cost, checked against the lines of a comparison."""

from alloy.comparison.metrics import BY_NAME
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import enough, values
from alloy.core.files import Row


def failures(lines: list[Row], gate: Gate) -> list[str]:
    """Return one line for each limit of the gate that tuning broke, or that is on a metric without a measurement."""
    found = {line["name"]: line for line in lines if line["change"] is not None}
    if not found:  # nothing was trained
        return []
    broken = []
    for name, limit in gate.limits().items():
        line = found.get(name)
        if line is None:
            broken.append(
                f"params.yaml: gate.{name}: not measured in this run; set it to null, or have it measured (a task of "
                "lm-eval: name it in `general` of the profile)"
            )
            continue
        rises = name in BY_NAME and not BY_NAME[name].higher_is_better
        change = line["change"]["value"]
        if (change if rises else -change) <= limit:
            continue
        base, tuned = values(line)
        few = "" if enough(line) else f" (too few items to tell: {line['n']})"
        broken.append(
            f"params.yaml: gate.{name}: {'rose' if rises else 'fell'} by {abs(base - tuned):.3f} ({base:.3f} to "
            f"{tuned:.3f}), {limit:g} is allowed{few}; raise mix.ratio or lower train.lr"
        )
    return broken
