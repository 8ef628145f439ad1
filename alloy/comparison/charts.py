"""The report's plots, by matplotlib: models by colour everywhere, text as text, no decoration."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.core.terminal_text import escape_controls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by those who do not see red and green (Okabe and Ito, 2008), on white and on black.
COLOURS = {"base": "#56b4e9", "tuned": "#e69f00", "svm": "#009e73"}
INK = "#747474"  # axes and letters: legible on both; a page puts its own colour there

Draw = Callable[["Axes"], None]


def svg(draw: Draw, width: float = 7.0, height: float = 3.2, name: str = "plot") -> str:
    """Return what `draw` puts on axes of `width` x `height` inches, as SVG; the same figures give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "text.parse_math": False,  # names from data are text, also those with a `$`
        "svg.hashsalt": name,  # ids of several plots on one page must differ
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
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


def trade_off(lines: list[Row]) -> Draw:
    """Return the plot of the task's F1 over general accuracy, with intervals, from base to tuned."""
    found = {(line["part"], line["key"]): line for line in lines}
    task, general = (found.get(name, {}).get("models", {}) for name in (("voc", "f1"), ("mmlu", "acc")))
    chance = found.get(("mmlu", "acc"), {}).get("chance")

    def draw(axes: "Axes") -> None:
        points = {model: (general[model]["value"], task[model]["value"]) for model in general if model in task}
        for model, (x, y) in points.items():
            axes.errorbar(
                x,
                y,
                xerr=error_bars(general[model]),
                yerr=error_bars(task[model]),
                fmt="o",
                ms=8,
                capsize=3,
                color=COLOURS[model],
                label=model,
            )
        if len(points) == 2:
            arrow = {"arrowstyle": "->", "color": INK, "shrinkA": 10, "shrinkB": 10}
            axes.annotate("", xy=points["tuned"], xytext=points["base"], arrowprops=arrow)
        if "svm" in task:
            axes.axhline(task["svm"]["value"], color=COLOURS["svm"], ls="--", label="svm (knows nothing else)")
        if chance is not None:
            axes.axvline(chance, color=INK, ls=":", label="guessing")
        axes.set(xlabel="general accuracy, by likelihood", ylabel="VOC F1", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw


def error_bars(figure: Row) -> list[list[float]] | None:
    """Return how far a figure's interval reaches below and above it, as matplotlib takes it."""
    if "low" not in figure:
        return None
    return [[max(figure["value"] - figure["low"], 0)], [max(figure["high"] - figure["value"], 0)]]


def bars(groups: list[str], values: dict[str, list[float | None]], label: str) -> Draw:
    """Return bars of every model in each group, from 0 to 1; None leaves a gap."""

    def draw(axes: "Axes") -> None:
        width = 0.8 / max(len(values), 1)
        for place, (model, heights) in enumerate(values.items()):
            at = [number + (place - (len(values) - 1) / 2) * width for number in range(len(groups))]
            shown = [(x, height) for x, height in zip(at, heights, strict=True) if height is not None]
            drawn = axes.bar(
                [x for x, _ in shown], [y for _, y in shown], width * 0.92, color=COLOURS[model], label=model
            )
            axes.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
        axes.set(ylabel=label, ylim=(0, 1.08))
        axes.set_xticks(range(len(groups)), groups)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw


def forgetting(subjects: dict[str, dict[str, float]], counts: dict[str, int], key: str, chance: float) -> Draw:
    """Return what became of each subject, the largest loss on top; `subjects`: name -> model -> share.

    `counts` are the questions of each subject, `chance` is what guessing gives.
    """
    ranked = sorted(subjects, key=lambda name: (subjects[name]["base"] - subjects[name]["tuned"], name))

    def draw(axes: "Axes") -> None:
        rows = range(len(ranked))
        base, tuned = ([subjects[name][model] for name in ranked] for model in ("base", "tuned"))
        axes.hlines(rows, tuned, base, color=INK, lw=1)
        axes.scatter(base, rows, color=COLOURS["base"], label="base", zorder=3, clip_on=False)
        axes.scatter(tuned, rows, color=COLOURS["tuned"], label="tuned", zorder=3, clip_on=False)
        if chance:
            axes.axvline(chance, color=INK, ls=":", label="guessing")
        axes.set(xlabel=key, xlim=(0, 1.02), ylim=(-0.7, len(ranked) - 0.3))
        axes.set_yticks(rows, [f"{name.replace('_', ' ')} ({counts[name]})" for name in ranked])
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw
