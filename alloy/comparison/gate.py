"""The gate: check that tuning did not worsen metrics by more than the limits in params.yaml."""

from alloy.comparison.metrics import BY_NAME
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import get_base_and_tuned, has_enough_items
from alloy.core.files import Row
from alloy.scoring.bootstrap import MIN_ITEMS


def find_exceeded_limits(lines: list[Row], gate: Gate) -> list[str]:
    """Return one line per limit that is exceeded, or that cannot be checked.

    A metric cannot be checked if it was not measured, or on fewer items than `MIN_ITEMS`.
    """
    by_name = {line["name"]: line for line in lines if line["change"] is not None}
    if not by_name:  # nothing was trained
        return []
    broken = []
    for name, limit in gate.get_limits().items():
        line = by_name.get(name)
        if line is None:
            broken.append(
                f"params.yaml: gate.{name}: not measured in this run; set gate.{name}: null, or measure {name} (for "
                "tasks of lm-eval, add the task to `general` in the profile)"
            )
            continue
        if not has_enough_items(line):
            broken.append(
                f"params.yaml: gate.{name}: expected at least {MIN_ITEMS} items to tell whether it got worse, got "
                f"{line['n']}; test more items, or set gate.{name}: null"
            )
            continue
        lower_is_better = name in BY_NAME and not BY_NAME[name].higher_is_better
        change = line["change"]["value"]
        if (change if lower_is_better else -change) <= limit:
            continue
        base, tuned = get_base_and_tuned(line)
        broken.append(
            f"params.yaml: gate.{name}: {'rose' if lower_is_better else 'fell'} by {abs(base - tuned):.3f} "
            f"({base:.3f} to {tuned:.3f}), expected at most {limit:g}; raise mix.ratio or lower train.lr"
        )
    return broken
