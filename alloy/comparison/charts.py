"""Draw the report's plots with matplotlib. Each model has the same color in all plots; text stays text in the SVG."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.core.terminal_text import escape_controls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinguishable for color-blind readers (Okabe and Ito, 2008), on white and on black.
COLORS = {"base": "#56b4e9", "tuned": "#e69f00", "svm": "#009e73"}
FOREGROUND = (
    "#747474"  # axes and text, readable on white and on black; `inline_svg` replaces it by the text color of the page
)

DrawFunction = Callable[["Axes"], None]


def render_svg(draw: DrawFunction, width: float = 7.0, height: float = 3.2, name: str = "plot") -> str:
    """Return the SVG of the plot that `draw` draws, of `width` x `height` inches; equal plots give equal bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,  # a `$` in names from data is not math
        "svg.hashsalt": name,  # ids of several plots on one page must differ
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), FOREGROUND),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return escape_controls(out.getvalue())


def make_trade_off_chart(lines: list[Row]) -> DrawFunction:
    """Return a plot of the task's F1 over general accuracy, with intervals and an arrow from base to tuned model."""
    by_name = {(line["part"], line["key"]): line for line in lines}
    task, general = (by_name.get(name, {}).get("models", {}) for name in (("voc", "f1"), ("mmlu", "acc")))
    chance = by_name.get(("mmlu", "acc"), {}).get("chance")

    def draw_trade_off(axes: "Axes") -> None:
        points = {model: (general[model]["value"], task[model]["value"]) for model in general if model in task}
        for model, (x, y) in points.items():
            axes.errorbar(
                x,
                y,
                xerr=compute_error_bars(general[model]),
                yerr=compute_error_bars(task[model]),
                fmt="o",
                ms=8,
                capsize=3,
                color=COLORS[model],
                label=model,
            )
        if len(points) == 2:
            arrow = {"arrowstyle": "->", "color": FOREGROUND, "shrinkA": 10, "shrinkB": 10}
            axes.annotate("", xy=points["tuned"], xytext=points["base"], arrowprops=arrow)
        if "svm" in task:
            axes.axhline(task["svm"]["value"], color=COLORS["svm"], ls="--", label="svm (customer task only)")
        if chance is not None:
            axes.axvline(chance, color=FOREGROUND, ls=":", label="guessing")
        axes.set(xlabel="general accuracy, by likelihood", ylabel="VOC F1", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw_trade_off


def compute_error_bars(estimate: Row) -> list[list[float]] | None:
    """Return the distances from a value to the ends of its interval, in matplotlib's format; None without interval."""
    if "low" not in estimate:
        return None
    return [[max(estimate["value"] - estimate["low"], 0)], [max(estimate["high"] - estimate["value"], 0)]]


def make_bar_chart(groups: list[str], values: dict[str, list[float | None]], label: str) -> DrawFunction:
    """Return a bar chart with one bar per model in each group, on an axis from 0 to 1; None leaves a gap."""

    def draw_bars(axes: "Axes") -> None:
        width = 0.8 / max(len(values), 1)
        for model_index, (model, heights) in enumerate(values.items()):
            positions = [
                group_index + (model_index - (len(values) - 1) / 2) * width for group_index in range(len(groups))
            ]
            shown = [(x, height) for x, height in zip(positions, heights, strict=True) if height is not None]
            container = axes.bar(
                [x for x, _ in shown], [y for _, y in shown], width * 0.92, color=COLORS[model], label=model
            )
            axes.bar_label(container, fmt="%.2f", fontsize=8, padding=2)
        axes.set(ylabel=label, ylim=(0, 1.08))
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw_bars


def make_forgetting_chart(
    subjects: dict[str, dict[str, float]], counts: dict[str, int], key: str, chance: float
) -> DrawFunction:
    """Return a plot of the accuracy of base and tuned model per subject, with the largest loss on top.

    `subjects` maps subject -> model -> accuracy, `counts` maps subject -> number of questions; `chance` is the accuracy
    of guessing.
    """
    ranked = sorted(subjects, key=lambda name: (subjects[name]["base"] - subjects[name]["tuned"], name))

    def draw_subjects(axes: "Axes") -> None:
        rows = range(len(ranked))
        base, tuned = ([subjects[name][model] for name in ranked] for model in ("base", "tuned"))
        axes.hlines(rows, tuned, base, color=FOREGROUND, lw=1)
        axes.scatter(base, rows, color=COLORS["base"], label="base", zorder=3, clip_on=False)
        axes.scatter(tuned, rows, color=COLORS["tuned"], label="tuned", zorder=3, clip_on=False)
        if chance:
            axes.axvline(chance, color=FOREGROUND, ls=":", label="guessing")
        axes.set(xlabel=key, xlim=(0, 1.02), ylim=(-0.7, len(ranked) - 0.3))
        axes.set_yticks(rows, [f"{name.replace('_', ' ')} ({counts[name]})" for name in ranked])
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw_subjects
