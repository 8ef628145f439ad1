"""The plot of the frontier: each arm's F1 over its general accuracy, the front, the limit, and the arm to take."""

from typing import TYPE_CHECKING

from alloy.comparison.charts import COLOURS, INK, Draw, error_bars
from alloy.core.files import Row
from alloy.sweep.analyze import pareto
from alloy.sweep.results import Arm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 9  # of letters, in points
MARKERS = "os^Dv<>p"  # by learning rate
Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def front(arms: list[Arm], labels: list[str], chosen: Arm | None, limit: float) -> Draw:
    """Return the plot of one or more arms, with the text beside each; `limit`: the largest loss that is allowed."""
    base_acc, base_f1 = arms[0].figure("mmlu", "acc", "base"), arms[0].figure("voc", "f1", "base")
    on = pareto([_spot(arm) for arm in arms])
    rates = sorted({arm.lr for arm in arms})

    def draw(axes: "Axes") -> None:
        edge = sorted(_spot(arm) for arm, best in zip(arms, on, strict=True) if best)
        for rate, marker in zip(rates, MARKERS * len(rates), strict=False):
            for place, arm in enumerate(own for own in arms if own.lr == rate):
                bars = {"xerr": error_bars(arm.acc), "yerr": error_bars(arm.f1), "elinewidth": 1, "capsize": 2}
                name = "mix.ratio" + (f" at lr {rate:g}" if len(rates) > 1 else "") if place == 0 else None
                axes.errorbar(*_spot(arm), **bars, fmt=marker, ms=6, color=COLOURS["tuned"], label=name)
        axes.plot(*zip(*edge, strict=True), color=COLOURS["tuned"], lw=1, zorder=1, label="Pareto front")
        if chosen:
            axes.plot(*_spot(chosen), "o", ms=14, mfc="none", mec=COLOURS["svm"], mew=2, ls="", label="recommended")
        if base_acc and base_f1:
            spot = base_acc["value"], base_f1["value"]
            axes.plot(*spot, "x", ms=8, mew=2, ls="", color=COLOURS["base"], label="base")
            axes.axvline(spot[0] - limit, color=INK, ls="--", lw=1, label=f"base less {limit:g}")
        axes.set(xlabel="general accuracy (MMLU), by likelihood", ylabel="VOC F1")
        axes.margins(0.08)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        names = sorted(handles, key=lambda name: not name.startswith("mix"))  # arms first
        axes.legend([handles[name] for name in names], names, loc="center left", bbox_to_anchor=(1, 0.5))
        place_labels(axes, arms, labels)

    return draw


def _spot(arm: Arm) -> tuple[float, float]:
    return arm.acc["value"], arm.f1["value"]


def place_labels(axes: "Axes", arms: list[Arm], labels: list[str]) -> None:
    """Write each label near its arm, where it covers no other label or arm, and no interval if that can be.

    The place is the nearest of some around the arm; a thin line leads to one that is further away.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout is settled when it is drawn
    point = figure.dpi / 72
    pixels = axes.transData.transform
    frame = axes.get_window_extent()
    spots = [(float(x), float(y)) for x, y in pixels([_spot(arm) for arm in arms])]
    taken: list[Box] = [(x - 5 * point, y - 5 * point, x + 5 * point, y + 5 * point) for x, y in spots]
    bars = [(*pixels((a, b)), *pixels((c, d))) for arm in arms for a, b, c, d in _bars(arm.acc, arm.f1)]
    for (x, y), arm, text in zip(spots, arms, labels, strict=True):
        width, height = 0.62 * SIZE * len(text) * point, 1.2 * SIZE * point
        choices = []
        for reach in (5, 16, 28, 40, 54):
            for right, up in ((True, True), (False, True), (True, False), (False, False)):
                left = x + reach * point if right else x - reach * point - width
                bottom = y + reach * point if up else y - reach * point - height
                box = left, bottom, left + width, bottom + height
                faults = 10 * sum(_meet(box, other) for other in taken) + sum(_meet(box, bar) for bar in bars)
                faults += 10 * (left < frame.x0 or bottom < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1)
                choices.append((faults, reach, right, up, box))
        _, reach, right, up, box = min(choices, key=lambda choice: choice[:2])
        taken.append(box)
        axes.annotate(
            text,
            _spot(arm),
            (reach if right else -reach, reach if up else -reach),
            textcoords="offset points",
            fontsize=SIZE,
            ha="left" if right else "right",
            va="bottom" if up else "top",
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.5, "shrinkA": 0, "shrinkB": 4} if reach > 5 else None,
        )


def _bars(acc: Row, f1: Row) -> list[Box]:
    """Return the two intervals of an arm as boxes without a height or a width, in figures."""
    x, y = acc["value"], f1["value"]
    return [(acc.get("low", x), y, acc.get("high", x), y), (x, f1.get("low", y), x, f1.get("high", y))]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
