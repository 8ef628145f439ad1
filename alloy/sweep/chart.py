"""The plot of the frontier: each configuration's task over its general ability, the front, the limit, the choice."""

from typing import TYPE_CHECKING

from alloy.comparison.charts import COLOURS, INK, Draw, error_bars
from alloy.core.files import Row
from alloy.sweep.analyze import front_of
from alloy.sweep.axis import TASK
from alloy.sweep.configurations import Configuration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 9  # of letters, in points
MARKERS = "os^Dv<>p"  # by learning rate
Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def front(
    configurations: list[Configuration],
    labels: list[str],
    chosen: Configuration | None,
    limit: float,
    legend: str = "mix.ratio",
) -> Draw:
    """Return the plot of one or more configurations, with the text beside each.

    `limit` is the largest loss that is allowed; `legend` says what the texts are. Bars are the intervals of the table.
    """
    axis, first = configurations[0].axis, configurations[0].runs[0]
    base_general, base_task = first.figure(axis, "base"), first.figure(TASK, "base")
    on = front_of(configurations)
    rates = sorted({one.lr for one in configurations})
    seeds = max(len(one.runs) for one in configurations)

    def draw(axes: "Axes") -> None:
        edge = sorted(_point(one) for one, best in zip(configurations, on, strict=True) if best)
        for rate, marker in zip(rates, MARKERS * len(rates), strict=False):
            for place, one in enumerate(own for own in configurations if own.lr == rate):
                bars = {"xerr": error_bars(one.general), "yerr": error_bars(one.task), "elinewidth": 1, "capsize": 2}
                name = legend + (f" at lr {rate:g}" if len(rates) > 1 else "") if place == 0 else None
                axes.errorbar(*_point(one), **bars, fmt=marker, ms=6, color=COLOURS["tuned"], label=name)
        if edge:
            axes.plot(*zip(*edge, strict=True), color=COLOURS["tuned"], lw=1, zorder=1, label="Pareto front")
        if chosen:
            axes.plot(*_point(chosen), "o", ms=14, mfc="none", mec=COLOURS["svm"], mew=2, ls="", label="recommended")
        if base_general and base_task:
            point = base_general["value"], base_task["value"]
            axes.plot(*point, "x", ms=8, mew=2, ls="", color=COLOURS["base"], label="base")
            edge_of_limit = point[0] - limit if axis.higher_is_better else point[0] + limit
            word = "less" if axis.higher_is_better else "plus"
            axes.axvline(edge_of_limit, color=INK, ls="--", lw=1, label=f"base {word} {limit:g}")
        direction = "" if axis.higher_is_better else " (lower is better)"
        means = f", mean of {seeds} seeds" if seeds > 1 else ""
        axes.set(xlabel=axis.title + direction, ylabel=TASK.title + means)
        axes.margins(0.08)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        names = sorted(handles, key=lambda name: not name.startswith(legend))  # configurations first
        axes.legend([handles[name] for name in names], names, loc="center left", bbox_to_anchor=(1, 0.5))
        place_labels(axes, configurations, labels)

    return draw


def _point(one: Configuration) -> tuple[float, float]:
    return one.general["value"], one.task["value"]


def place_labels(axes: "Axes", configurations: list[Configuration], labels: list[str]) -> None:
    """Write each label near its point, where it covers no other label or point, and no interval if that can be.

    The place is the nearest of some around the point; a thin line leads to one that is further away.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout is settled when it is drawn
    point = figure.dpi / 72
    pixels = axes.transData.transform
    frame = axes.get_window_extent()
    centers = [(float(x), float(y)) for x, y in pixels([_point(one) for one in configurations])]
    taken: list[Box] = [(x - 5 * point, y - 5 * point, x + 5 * point, y + 5 * point) for x, y in centers]
    bars = [(*pixels((a, b)), *pixels((c, d))) for one in configurations for a, b, c, d in _bars(one.general, one.task)]
    for (x, y), one, text in zip(centers, configurations, labels, strict=True):
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
            _point(one),
            (reach if right else -reach, reach if up else -reach),
            textcoords="offset points",
            fontsize=SIZE,
            ha="left" if right else "right",
            va="bottom" if up else "top",
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.5, "shrinkA": 0, "shrinkB": 4} if reach > 5 else None,
        )


def _bars(general: Row, task: Row) -> list[Box]:
    """Return the two intervals of a configuration as boxes without a height or a width, in figures."""
    x, y = general["value"], task["value"]
    return [(general.get("low", x), y, general.get("high", x), y), (x, task.get("low", y), x, task.get("high", y))]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
