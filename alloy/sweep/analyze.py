"""Which arm to take: the Pareto front of task against general ability, and the best F1 within a limit."""

from alloy.comparison.verdict import significant
from alloy.sweep.results import Arm, f1_change


def pareto(points: list[tuple[float, float]]) -> list[bool]:
    """Say of each point whether none is as good in both and better in one."""
    return [not any(x >= a and y >= b and (x, y) != (a, b) for x, y in points) for a, b in points]


def label(arm: Arm, arms: list[Arm], rates: bool = True) -> str:
    """Return the shortest text that tells an arm from the others: its ratio, rate (with `rates`), name."""
    text = f"{arm.ratio:g}"
    if rates and len({other.lr for other in arms}) > 1:
        text += f", lr {arm.lr:g}"
    alike = [other for other in arms if (other.ratio, other.lr) == (arm.ratio, arm.lr)]
    return f"{text} ({arm.name})" if len(alike) > 1 else text


def best(arms: list[Arm], limit: float) -> Arm | None:
    """Return the arm with the best F1 of those that lose `limit` at most; of equal ones that which loses least."""
    kept = [arm for arm in arms if arm.loss["value"] <= limit]
    return max(kept, key=lambda arm: (arm.f1["value"], -arm.loss["value"], -arm.ratio), default=None)


def recommend(arms: list[Arm], limit: float) -> str:
    """Say which arm to take, and why."""
    if not arms:
        return "No arm is finished: `make sweep` runs some."
    kept = [arm for arm in arms if arm.loss["value"] <= limit]
    chosen = best(arms, limit)
    if chosen is None:
        near = min(arms, key=lambda arm: (arm.loss["value"], -arm.f1["value"], arm.ratio))
        return (
            f"No arm loses {limit:g} of MMLU or less; the nearest is mix.ratio {label(near, arms)}, which "
            f"{_lost(near)}, F1 {near.f1['value']:.3f}."
        )
    among = "the only arm that loses" if len(kept) == 1 else f"the best of the {len(kept)} arms that lose"
    text = f"mix.ratio {label(chosen, arms)}: F1 {chosen.f1['value']:.3f}, {among} {limit:g} of MMLU or less"
    better = [arm for arm in arms if arm.loss["value"] > limit and arm.f1["value"] > chosen.f1["value"]]
    if not better:
        return f"{text} (it {_lost(chosen)}); no arm has a better F1."
    after = min(better, key=lambda arm: arm.loss["value"])
    then = f"the next, {label(after, arms)}, has F1 {after.f1['value']:.3f} and {_lost(after)}"
    return f"{text} (it {_lost(chosen)}); {then}."


def _lost(arm: Arm) -> str:
    value = arm.loss["value"]
    return f"loses {value:.3f}" if value >= 0 else f"gains {-value:.3f}"


def doubts(arms: list[Arm], limit: float, resamples: int, seed: int) -> list[str]:
    """Say what the figures do not show of the recommendation: arms as good, a loss that may be over the limit."""
    chosen = best(arms, limit)
    if chosen is None:
        return []
    said = []
    others = [arm for arm in arms if arm.loss["value"] <= limit and arm is not chosen]
    for arm in others:
        found = f1_change(chosen, arm, resamples, seed)
        if not significant({"p": found.p}):
            said.append(
                f"Not told apart by F1: {label(arm, arms)}, whose F1 differs by {found.value:+.3f} (95 %: "
                f"{found.low:+.3f} to {found.high:+.3f})."
            )
    high = chosen.loss.get("high", chosen.loss["value"])
    if high > limit:
        said.append(f"Its loss may be as large as {high:.3f} (95 %), over the limit of {limit:g}.")
    if len(arms) > 1:
        said.append("It was chosen on the test set that it is measured by: expect a little less on new comments.")
    return said
