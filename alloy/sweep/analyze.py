"""Recommend a configuration: the Pareto front of task and general ability, and the best task within a limit on loss."""

from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import is_significant
from alloy.core.files import Row
from alloy.scoring.bootstrap import MIN_ITEMS, Change
from alloy.scoring.settings import Score
from alloy.sweep.axis import TASK_METRIC, get_short_title
from alloy.sweep.configurations import Configuration, compute_task_difference


def mark_pareto_front(points: list[tuple[float, float]]) -> list[bool]:
    """Return for each point whether it is on the Pareto front: no other point is at least as good in both values.

    Equal points do not exclude each other.
    """
    return [not any(x >= a and y >= b and (x, y) != (a, b) for x, y in points) for a, b in points]


def describe_too_few(configurations: list[Configuration]) -> str:
    """Return a sentence about metrics with too few items to choose a configuration; "" if both have enough."""
    if not configurations:
        return ""
    parts = []
    for metric in (TASK_METRIC, configurations[0].axis):
        few = [
            run.count_items(metric) or 0
            for configuration in configurations
            for run in configuration.runs
            if run.has_too_few_items(metric)
        ]
        if few:
            parts.append(f"{get_short_title(metric)} is measured on {min(few)} {metric.count_key or 'items'}")
    return (
        f"Too few items to choose a configuration: {'; '.join(parts)}; at least {MIN_ITEMS} are needed."
        if parts
        else ""
    )


def mark_front(configurations: list[Configuration]) -> list[bool]:
    """Return for each configuration whether it is on the Pareto front of high task metric and low loss.

    All are False if there are too few items.
    """
    if describe_too_few(configurations):
        return [False] * len(configurations)
    return mark_pareto_front(
        [(-configuration.loss["value"], configuration.task["value"]) for configuration in configurations]
    )


def make_label(configuration: Configuration, configurations: list[Configuration], rates: bool = True) -> str:
    """Return the shortest text that identifies a configuration among the others.

    It is the ratio; the learning rate if there are several, and `rates`; the name of the first run if needed.
    """
    text = f"{configuration.ratio:g}"
    if rates and len({other.lr for other in configurations}) > 1:
        text += f", lr {configuration.lr:g}"
    same_settings = [
        other for other in configurations if (other.ratio, other.lr) == (configuration.ratio, configuration.lr)
    ]
    return f"{text} ({configuration.runs[0].name})" if len(same_settings) > 1 else text


def select_within_limit(configurations: list[Configuration], limit: float) -> list[Configuration]:
    """Return the configurations whose mean loss is at most `limit`."""
    return [configuration for configuration in configurations if configuration.loss["value"] <= limit]


def choose_best(configurations: list[Configuration], limit: float) -> Configuration | None:
    """Return the configuration with the best task metric within `limit`; of equal ones, the one that loses least.

    None if no configuration is within the limit, or if there are too few items.
    """
    if describe_too_few(configurations):
        return None
    allowed = select_within_limit(configurations, limit)
    return max(
        allowed,
        key=lambda configuration: (configuration.task["value"], -configuration.loss["value"], -configuration.ratio),
        default=None,
    )


def list_indistinguishable(
    configurations: list[Configuration], limit: float, score: Score
) -> list[tuple[Configuration, Change | None]]:
    """Return the configurations within `limit` whose task metric is not significantly worse than the best one's.

    With each comes the difference, best minus this one, or None if it is not known.
    """
    chosen = choose_best(configurations, limit)
    if chosen is None:
        return []
    others = [
        (configuration, compute_task_difference(chosen, configuration, score))
        for configuration in select_within_limit(configurations, limit)
        if configuration is not chosen
    ]
    return [
        (configuration, difference)
        for configuration, difference in others
        if difference is None or not is_significant({"p": difference.p})
    ]


def describe_recommendation(configurations: list[Configuration], limit: float, score: Score) -> str:
    """Return text on which configuration to use, and why; or that the best ones are not distinguishable."""
    if not configurations:
        return "No run has finished; start runs with `make sweep`."
    if few := describe_too_few(configurations):
        return few
    axis = get_short_title(configurations[0].axis)
    allowed, chosen = select_within_limit(configurations, limit), choose_best(configurations, limit)
    if chosen is None:
        nearest = min(
            configurations,
            key=lambda configuration: (configuration.loss["value"], -configuration.task["value"], configuration.ratio),
        )
        return (
            f"No configuration loses {limit:g} of {axis} or less; the nearest is mix.ratio "
            f"{make_label(nearest, configurations)}, which {_describe_loss(nearest)}, {_describe_task(nearest)}."
        )
    name = make_label(chosen, configurations)
    among = (
        "the only configuration that loses"
        if len(allowed) == 1
        else f"the best of the {len(allowed)} configurations that lose"
    )
    text = (
        f"mix.ratio {name}: {_describe_task(chosen)}, {among} {limit:g} of {axis} or less (it {_describe_loss(chosen)})"
    )
    if as_good := list_indistinguishable(configurations, limit, score):
        others = "; ".join(make_label(configuration, configurations) for configuration, _ in as_good)
        text = f"Not distinguishable by {get_short_title(TASK_METRIC)}: mix.ratio {name}; {others}. Highest: {text}"
    better = [
        configuration
        for configuration in configurations
        if configuration.loss["value"] > limit and configuration.task["value"] > chosen.task["value"]
    ]
    if not better:
        return f"{text}; no configuration has a better {get_short_title(TASK_METRIC)}."
    next_best = min(better, key=lambda configuration: configuration.loss["value"])
    name = make_label(next_best, configurations)
    return f"{text}; the next, {name}, has {_describe_task(next_best)} and {_describe_loss(next_best)}."


def _describe_task(configuration: Configuration) -> str:
    return f"{get_short_title(TASK_METRIC)} {configuration.task['value']:.3f}"


def _describe_loss(configuration: Configuration) -> str:
    value = configuration.loss["value"]
    return f"loses {value:.3f}" if value >= 0 else f"gains {-value:.3f}"


def list_caveats(configurations: list[Configuration], limit: float, score: Score) -> list[str]:
    """Return the caveats of the recommendation: configurations that may be as good, a loss that may be too large."""
    chosen = choose_best(configurations, limit)
    if chosen is None:
        return []
    lines = []
    for configuration, difference in list_indistinguishable(configurations, limit, score):
        name = make_label(configuration, configurations)
        if difference is None:
            lines.append(
                f"{name}: its rows are not in the DVC cache, so its {get_short_title(TASK_METRIC)} cannot be compared."
            )
            continue
        interval = _format_interval({"value": -difference.value, "low": -difference.high, "high": -difference.low})
        lines.append(f"{name}: its {get_short_title(TASK_METRIC)} differs by {interval}.")
    high = chosen.loss.get("high", chosen.loss["value"])
    if high > limit:
        lines.append(f"Its loss may be as large as {high:.3f} (95 %), over the limit of {limit:g}.")
    if len(configurations) > 1:
        lines.append(
            "It was chosen on the same test set that measures it: expect slightly lower results on new comments."
        )
    return lines


def _format_interval(estimate: Row) -> str:
    return f"{estimate['value']:+.3f} (95 %: {estimate['low']:+.3f} to {estimate['high']:+.3f})"


def describe_intervals(configurations: list[Configuration]) -> list[str]:
    """Return notes on what the intervals include: variation between training seeds only if there are several seeds."""
    single_seed = [
        make_label(configuration, configurations) for configuration in configurations if len(configuration.runs) == 1
    ]
    if not single_seed:
        return ["Intervals (95 %) are over seeds and test items together."]
    if len(single_seed) == len(configurations):
        return [ONE_SEED]
    return [
        "Intervals (95 %) are over seeds and test items together; those of configurations with one seed (mix.ratio "
        f"{'; '.join(single_seed)}) are over test items only."
    ]
