"""The plot of the frontier: task and general ability of each configuration, Pareto front, limit, recommendation."""

from typing import TYPE_CHECKING

from alloy.comparison.charts import COLORS, FOREGROUND, DrawFunction, compute_error_bars
from alloy.core.files import Row
from alloy.sweep.analyze import mark_front
from alloy.sweep.axis import TASK_METRIC
from alloy.sweep.configurations import Configuration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 9  # font size in points
MARKERS = "os^Dv<>p"  # one per learning rate
Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def make_frontier_chart(
    configurations: list[Configuration],
    labels: list[str],
    chosen: Configuration | None,
    limit: float,
    legend: str = "mix.ratio",
) -> DrawFunction:
    """Return a plot of one or more configurations, each with its text from `labels`.

    `limit` is the largest loss that is allowed; `legend` says what the labels mean. Error bars are the intervals of the
    table.
    """
    axis, first = configurations[0].axis, configurations[0].runs[0]
    base_general, base_task = first.read_estimate(axis, "base"), first.read_estimate(TASK_METRIC, "base")
    on_front = mark_front(configurations)
    rates = sorted({configuration.lr for configuration in configurations})
    seeds = max(len(configuration.runs) for configuration in configurations)

    def draw_frontier(axes: "Axes") -> None:
        front_points = sorted(
            _get_chart_point(configuration)
            for configuration, best in zip(configurations, on_front, strict=True)
            if best
        )
        for rate, marker in zip(rates, MARKERS * len(rates), strict=False):
            for series_index, configuration in enumerate(
                same_rate for same_rate in configurations if same_rate.lr == rate
            ):
                bars = {
                    "xerr": compute_error_bars(configuration.general),
                    "yerr": compute_error_bars(configuration.task),
                    "elinewidth": 1,
                    "capsize": 2,
                }
                name = legend + (f" at lr {rate:g}" if len(rates) > 1 else "") if series_index == 0 else None
                axes.errorbar(
                    *_get_chart_point(configuration), **bars, fmt=marker, ms=6, color=COLORS["tuned"], label=name
                )
        if front_points:
            axes.plot(*zip(*front_points, strict=True), color=COLORS["tuned"], lw=1, zorder=1, label="Pareto front")
        if chosen:
            axes.plot(
                *_get_chart_point(chosen), "o", ms=14, mfc="none", mec=COLORS["svm"], mew=2, ls="", label="recommended"
            )
        if base_general and base_task:
            point = base_general["value"], base_task["value"]
            axes.plot(*point, "x", ms=8, mew=2, ls="", color=COLORS["base"], label="base")
            edge_of_limit = point[0] - limit if axis.higher_is_better else point[0] + limit
            sign_word = "less" if axis.higher_is_better else "plus"
            axes.axvline(edge_of_limit, color=FOREGROUND, ls="--", lw=1, label=f"base {sign_word} {limit:g}")
        direction = "" if axis.higher_is_better else " (lower is better)"
        means = f", mean of {seeds} seeds" if seeds > 1 else ""
        axes.set(xlabel=axis.title + direction, ylabel=TASK_METRIC.title + means)
        axes.margins(0.08)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        names = sorted(handles, key=lambda name: not name.startswith(legend))  # configurations first
        axes.legend([handles[name] for name in names], names, loc="center left", bbox_to_anchor=(1, 0.5))
        place_labels(axes, configurations, labels)

    return draw_frontier


def _get_chart_point(configuration: Configuration) -> tuple[float, float]:
    return configuration.general["value"], configuration.task["value"]


def place_labels(axes: "Axes", configurations: list[Configuration], labels: list[str]) -> None:
    """Write each label near its point, so that it covers no other label or point and, if possible, no error bar.

    Algorithm, for each label in order:

    1. List candidate positions: 5 distances from the point in each of 4 directions.
    2. Penalty of a candidate: 10 per label or point that it covers, 1 per error bar, 10 if it leaves the axes.
    3. Take the candidate with the smallest penalty; of equal ones the first, which is the nearest.
    4. Draw a thin line to the point unless the label has the smallest distance.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # computes the layout
    pixels_per_point = figure.dpi / 72
    to_pixels = axes.transData.transform
    frame = axes.get_window_extent()
    centers = [
        (float(x), float(y))
        for x, y in to_pixels([_get_chart_point(configuration) for configuration in configurations])
    ]
    taken: list[Box] = [
        (x - 5 * pixels_per_point, y - 5 * pixels_per_point, x + 5 * pixels_per_point, y + 5 * pixels_per_point)
        for x, y in centers
    ]
    interval_boxes = [
        (*to_pixels((a, b)), *to_pixels((c, d)))
        for configuration in configurations
        for a, b, c, d in _list_interval_boxes(configuration.general, configuration.task)
    ]
    for (x, y), configuration, text in zip(centers, configurations, labels, strict=True):
        width, height = 0.62 * SIZE * len(text) * pixels_per_point, 1.2 * SIZE * pixels_per_point
        choices = []
        for distance in (5, 16, 28, 40, 54):
            for right, up in ((True, True), (False, True), (True, False), (False, False)):
                left = x + distance * pixels_per_point if right else x - distance * pixels_per_point - width
                bottom = y + distance * pixels_per_point if up else y - distance * pixels_per_point - height
                box = left, bottom, left + width, bottom + height
                penalty = 10 * sum(_boxes_overlap(box, other) for other in taken) + sum(
                    _boxes_overlap(box, bar) for bar in interval_boxes
                )
                penalty += 10 * (left < frame.x0 or bottom < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1)
                choices.append((penalty, distance, right, up, box))
        _, distance, right, up, box = min(choices, key=lambda choice: choice[:2])
        taken.append(box)
        axes.annotate(
            text,
            _get_chart_point(configuration),
            (distance if right else -distance, distance if up else -distance),
            textcoords="offset points",
            fontsize=SIZE,
            ha="left" if right else "right",
            va="bottom" if up else "top",
            arrowprops={"arrowstyle": "-", "color": FOREGROUND, "lw": 0.5, "shrinkA": 0, "shrinkB": 4}
            if distance > 5
            else None,
        )


def _list_interval_boxes(general: Row, task: Row) -> list[Box]:
    """Return the two intervals of a configuration as boxes of zero height and of zero width, in data coordinates."""
    x, y = general["value"], task["value"]
    return [(general.get("low", x), y, general.get("high", x), y), (x, task.get("low", y), x, task.get("high", y))]


def _boxes_overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
