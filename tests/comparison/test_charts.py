"""Plots are complete SVG files, deterministic, and show the given values."""

import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure

from alloy.comparison.charts import (
    COLORS,
    FOREGROUND,
    make_bar_chart,
    make_forgetting_chart,
    make_trade_off_chart,
    render_svg,
)
from example_metrics import compare, make_metrics


def list_words(text: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(text).iter() if element.tag.endswith("}text")]


def test_the_same_input_gives_the_same_bytes() -> None:
    draw = make_trade_off_chart(compare(make_metrics(f1=50, acc=40)))
    assert render_svg(draw) == render_svg(draw)


def test_two_plots_have_different_ids() -> None:
    draw = make_trade_off_chart(compare(make_metrics(f1=50, acc=40)))
    first, second = (set(re.findall(r'id="([mp][0-9a-f]{10})"', render_svg(draw, name=name))) for name in "ab")
    assert first and second and not first & second


def test_the_trade_off_names_its_axes_models_and_guessing() -> None:
    text = list_words(render_svg(make_trade_off_chart(compare(make_metrics(f1=50, acc=40)))))
    assert {"general accuracy, by likelihood", "VOC F1", "base", "tuned", "guessing"} <= set(text)


def test_a_trade_off_of_only_the_base_model_can_be_drawn() -> None:
    compared = [line for line in compare(make_metrics()) if line["key"] in ("f1", "acc")]
    for line in compared:
        line["models"] = {"base": line["models"]["base"]}
    assert "base" in list_words(render_svg(make_trade_off_chart(compared)))


def test_each_value_has_a_bar() -> None:
    drawn = render_svg(make_bar_chart(["L1", "L2"], {"base": [0.25, None], "tuned": [0.5, 0.75]}, "F1"))
    assert {"0.25", "0.50", "0.75", "L1", "L2"} <= set(list_words(drawn))
    assert drawn.count(f"fill: {COLORS['tuned']}") == 2 + 1  # plus the legend


def test_the_subject_with_the_largest_loss_is_on_top() -> None:
    subjects = {"much_lost": {"base": 0.9, "tuned": 0.3}, "kept": {"base": 0.5, "tuned": 0.5}}
    text = render_svg(make_forgetting_chart(subjects, {"much_lost": 12, "kept": 40}, "accuracy", 0.25))
    drawn = ET.fromstring(text)
    height = {}
    for group in drawn.iter():
        if group.tag.endswith("}text") and group.text in ("much lost (12)", "kept (40)"):
            match = re.search(r"translate\(([\d.]+) ([\d.]+)\)", group.get("transform", "")) or [0, 0, group.get("y")]
            height[group.text] = float(match[2])
    assert height["much lost (12)"] < height["kept (40)"]
    assert "much lost (12)" in list_words(text)


@pytest.mark.parametrize("name", ["price $5 or $10", r"cost $\frac$", "a_b^{c} $x_1$"])
def test_names_from_data_are_plain_text(name: str) -> None:
    drawn = render_svg(make_forgetting_chart({name: {"base": 0.9, "tuned": 0.3}}, {name: 40}, "accuracy", 0.25))
    assert f"{name.replace('_', ' ')} (40)" in list_words(drawn)
    assert name in list_words(render_svg(make_bar_chart([name], {"base": [0.5]}, "F1")))


@pytest.mark.parametrize("chance", [0.2, 0.5, None])
def test_the_line_of_guessing_is_at_the_chance_of_the_test(chance: float | None) -> None:
    compared = compare(make_metrics(f1=50, acc=40))
    next(line for line in compared if line["name"] == "mmlu.acc")["chance"] = chance
    figure = Figure()
    axes = figure.add_subplot()
    make_trade_off_chart(compared)(axes)
    chance_lines = [line.get_xdata()[0] for line in axes.lines if line.get_label() == "guessing"]
    assert chance_lines == ([] if chance is None else [chance])


def test_the_foreground_color_differs_from_the_colors_of_the_models() -> None:
    drawn = render_svg(make_bar_chart(["L1"], {"base": [0.5]}, "F1"))
    assert FOREGROUND in drawn
    assert FOREGROUND not in COLORS.values()
