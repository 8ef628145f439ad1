"""Which configuration to take: the Pareto front of task against general ability, and the best task within a limit."""

from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import significant
from alloy.core.files import Row
from alloy.scoring.bootstrap import MIN_ITEMS, Change
from alloy.scoring.settings import Score
from alloy.sweep.axis import TASK, short_title
from alloy.sweep.configurations import Configuration, task_difference


def pareto(points: list[tuple[float, float]]) -> list[bool]:
    """Say of each point whether none is as good in both and better in one."""
    return [not any(x >= a and y >= b and (x, y) != (a, b) for x, y in points) for a, b in points]


def too_few(configurations: list[Configuration]) -> str:
    """Say which of the two metrics has too few items to choose by, "" if none has."""
    if not configurations:
        return ""
    said = []
    for metric in (TASK, configurations[0].axis):
        few = [run.items(metric) or 0 for one in configurations for run in one.runs if run.too_few(metric)]
        if few:
            said.append(f"{short_title(metric)} is measured on {min(few)} {metric.n or 'items'}")
    return f"Too few items to choose by: {'; '.join(said)}; {MIN_ITEMS} or more are needed." if said else ""


def front_of(configurations: list[Configuration]) -> list[bool]:
    """Say of each configuration whether none has as good a task and as small a loss, and is better in one.

    Of none if there are too few items to say it.
    """
    if too_few(configurations):
        return [False] * len(configurations)
    return pareto([(-one.loss["value"], one.task["value"]) for one in configurations])


def label(one: Configuration, configurations: list[Configuration], rates: bool = True) -> str:
    """Return the shortest text that tells a configuration from the others: its ratio, rate (with `rates`), name."""
    text = f"{one.ratio:g}"
    if rates and len({other.lr for other in configurations}) > 1:
        text += f", lr {one.lr:g}"
    alike = [other for other in configurations if (other.ratio, other.lr) == (one.ratio, one.lr)]
    return f"{text} ({one.runs[0].name})" if len(alike) > 1 else text


def within(configurations: list[Configuration], limit: float) -> list[Configuration]:
    """Return the configurations that lose `limit` at most on average."""
    return [one for one in configurations if one.loss["value"] <= limit]


def best(configurations: list[Configuration], limit: float) -> Configuration | None:
    """Return the configuration with the best task within `limit`; of equal ones that which loses least.

    None if there is none, or if there are too few items to say it.
    """
    if too_few(configurations):
        return None
    kept = within(configurations, limit)
    return max(kept, key=lambda one: (one.task["value"], -one.loss["value"], -one.ratio), default=None)


def indistinguishable(
    configurations: list[Configuration], limit: float, score: Score
) -> list[tuple[Configuration, Change | None]]:
    """Return the configurations within `limit` whose task is not shown to be worse than the best one's.

    Each has by how much the best one exceeds it, or None if that is not known.
    """
    chosen = best(configurations, limit)
    if chosen is None:
        return []
    others = [(one, task_difference(chosen, one, score)) for one in within(configurations, limit) if one is not chosen]
    return [(one, found) for one, found in others if found is None or not significant({"p": found.p})]


def recommend(configurations: list[Configuration], limit: float, score: Score) -> str:
    """Say which configuration to take, and why; or that the best ones are not distinguishable."""
    if not configurations:
        return "No run is finished: `make sweep` runs some."
    if few := too_few(configurations):
        return few
    axis = short_title(configurations[0].axis)
    kept, chosen = within(configurations, limit), best(configurations, limit)
    if chosen is None:
        near = min(configurations, key=lambda one: (one.loss["value"], -one.task["value"], one.ratio))
        return (
            f"No configuration loses {limit:g} of {axis} or less; the nearest is mix.ratio "
            f"{label(near, configurations)}, which {_lost(near)}, {_task(near)}."
        )
    name = label(chosen, configurations)
    among = (
        "the only configuration that loses"
        if len(kept) == 1
        else f"the best of the {len(kept)} configurations that lose"
    )
    text = f"mix.ratio {name}: {_task(chosen)}, {among} {limit:g} of {axis} or less (it {_lost(chosen)})"
    if alike := indistinguishable(configurations, limit, score):
        others = "; ".join(label(one, configurations) for one, _ in alike)
        text = f"Not distinguishable by {short_title(TASK)}: mix.ratio {name}; {others}. Highest: {text}"
    better = [one for one in configurations if one.loss["value"] > limit and one.task["value"] > chosen.task["value"]]
    if not better:
        return f"{text}; no configuration has a better {short_title(TASK)}."
    after = min(better, key=lambda one: one.loss["value"])
    return f"{text}; the next, {label(after, configurations)}, has {_task(after)} and {_lost(after)}."


def _task(one: Configuration) -> str:
    return f"{short_title(TASK)} {one.task['value']:.3f}"


def _lost(one: Configuration) -> str:
    value = one.loss["value"]
    return f"loses {value:.3f}" if value >= 0 else f"gains {-value:.3f}"


def doubts(configurations: list[Configuration], limit: float, score: Score) -> list[str]:
    """Say what the figures do not show of the recommendation: configurations as good, a loss that may be too large."""
    chosen = best(configurations, limit)
    if chosen is None:
        return []
    said = []
    for one, found in indistinguishable(configurations, limit, score):
        name = label(one, configurations)
        if found is None:
            said.append(f"{name}: its rows are not in DVC's cache, so its {short_title(TASK)} cannot be compared.")
            continue
        interval = _interval({"value": -found.value, "low": -found.high, "high": -found.low})
        said.append(f"{name}: its {short_title(TASK)} differs by {interval}.")
    high = chosen.loss.get("high", chosen.loss["value"])
    if high > limit:
        said.append(f"Its loss may be as large as {high:.3f} (95 %), over the limit of {limit:g}.")
    if len(configurations) > 1:
        said.append("It was chosen on the test set that it is measured by: expect a little less on new comments.")
    return said


def _interval(figure: Row) -> str:
    return f"{figure['value']:+.3f} (95 %: {figure['low']:+.3f} to {figure['high']:+.3f})"


def seeds_note(configurations: list[Configuration]) -> list[str]:
    """Say what the intervals hold: the luck of training only if there are several seeds."""
    alone = [label(one, configurations) for one in configurations if len(one.runs) == 1]
    if not alone:
        return ["Intervals (95 %) are over seeds and test items together."]
    if len(alone) == len(configurations):
        return [ONE_SEED]
    return [
        "Intervals (95 %) are over seeds and test items together; with one seed, of mix.ratio "
        f"{'; '.join(alone)}, the luck of training is not in them."
    ]
