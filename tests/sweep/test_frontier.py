"""The recommended configuration: Pareto front and limit as functions, and runs read from a real repository."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from alloy.comparison.charts import render_svg
from alloy.comparison.costs import Budget
from alloy.comparison.metrics import BY_NAME, STAGES
from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import InputError
from alloy.scoring.settings import Score
from alloy.sweep.analyze import (
    choose_best,
    describe_intervals,
    describe_recommendation,
    list_caveats,
    make_label,
    mark_front,
    mark_pareto_front,
)
from alloy.sweep.axis import TASK_METRIC, choose_limit, compute_drop, find_axis
from alloy.sweep.chart import make_frontier_chart
from alloy.sweep.configurations import Configuration, describe_missing_seeds, group_runs
from alloy.sweep.dvc_experiments import RunSettings, read_run_settings
from alloy.sweep.frontier import render_csv, render_table, select_metrics, write_frontier
from alloy.sweep.results import Run, index_by_metric, read_runs
from example_metrics import compare, make_metrics, make_svm_metrics
from sweep_project import run_command, write_project

SCORE = Score(resamples=500)
MMLU = find_axis("")


class Rows:
    """The files of a run: the rows of its models."""

    def __init__(self, tuned: dict, base: dict) -> None:
        self.rows = {
            f"metrics/{STAGES[part]}/{model}.jsonl": rows
            for model, parts in (("tuned", tuned), ("base", base))
            for part, rows in parts.items()
        }

    def read_text(self, path: str) -> str:
        if path not in self.rows:
            raise FileNotFoundError(path)
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in self.rows[path])


def make_run(ratio: float, f1: int, acc: int, lr: float = 1e-3, name: str = "", seed: int = 0, **more: Any) -> Run:
    """Return a run with a base accuracy of 0.80. Runs with different names are different configurations."""
    tuned = make_metrics(f1=f1, acc=acc, **more)
    files = Rows(tuned[1], make_metrics()[1])
    settings = RunSettings(ratio, lr, seed, f"{ratio} {lr} {name}")
    return Run(
        name or f"ratio-{ratio:g}-seed-{seed}",
        settings,
        index_by_metric(compare(tuned, svm=make_svm_metrics())),
        files=files,
    )


def make_configurations(*runs: Run, axis: str = "") -> list[Configuration]:
    return group_runs(list(runs), find_axis(axis), select_metrics(find_axis(axis)), SCORE)


def make_configuration(ratio: float, f1: int, acc: int, *others: object, **more: object) -> Configuration:
    """Return a configuration of one run."""
    (found,) = make_configurations(make_run(ratio, f1, acc, *others, **more))  # type: ignore[arg-type]
    return found


FOUR = [
    make_configuration(0, 60, 40),
    make_configuration(0.1, 55, 60),
    make_configuration(0.25, 50, 70),
    make_configuration(0.5, 40, 75),
]


def test_a_point_is_on_the_front_unless_another_is_as_good_in_both_and_better_in_one() -> None:
    assert mark_pareto_front([(0.4, 0.6), (0.5, 0.5), (0.4, 0.5), (0.6, 0.1)]) == [True, True, False, True]


def test_equal_points_are_both_on_the_front_and_a_point_worse_in_one_value_is_not() -> None:
    assert mark_pareto_front([(0.5, 0.5), (0.5, 0.5), (0.5, 0.4)]) == [True, True, False]


def test_a_single_point_is_the_front_and_no_points_have_no_front() -> None:
    assert mark_pareto_front([(0.1, 0.1)]) == [True]
    assert mark_pareto_front([]) == []


def test_the_best_f1_within_the_limit_is_recommended_and_the_next_better_one_is_named() -> None:
    text = describe_recommendation(FOUR, 0.1, SCORE)
    assert text.startswith("mix.ratio 0.25: VOC F1 0.500, ")
    assert re.search(r"\b2 configurations\b.* 0\.1 of MMLU\b.* 0\.100\b.* 0\.1, .*\b0\.550\b.* 0\.200\.", text), text


def test_if_all_configurations_are_within_the_limit_none_is_better() -> None:
    text = describe_recommendation(FOUR, 0.5, SCORE)
    assert re.search(r"\b4 configurations\b.* 0\.5 of MMLU .* loses 0\.400\)", text), text


def test_a_single_configuration_is_called_the_only_one() -> None:
    text = describe_recommendation(FOUR[:1], 0.5, SCORE)
    assert re.search(r"\bonly configuration\b.* 0\.5 of MMLU\b", text), text


def test_if_no_configuration_is_within_the_limit_the_nearest_is_named() -> None:
    text = describe_recommendation(FOUR, 0.02, SCORE)
    assert re.search(r"^No .* 0\.02 of MMLU .*\bmix\.ratio 0\.5\b.* 0\.050, VOC F1 0\.400\b", text), text
    assert choose_best(FOUR, 0.02) is None


def test_without_runs_the_text_says_how_to_start_some() -> None:
    assert "`make sweep`" in describe_recommendation([], 0.02, SCORE)


def test_a_gain_is_called_a_gain() -> None:
    assert "(it gains 0.050)" in describe_recommendation([make_configuration(0.5, 40, 85)], 0.02, SCORE)


def test_of_equal_f1_the_smaller_loss_is_chosen_then_the_smaller_ratio() -> None:
    assert choose_best([make_configuration(0.1, 50, 70), make_configuration(0.25, 50, 75)], 0.2) == make_configuration(
        0.25, 50, 75
    )
    assert choose_best([make_configuration(0.25, 50, 75), make_configuration(0.1, 50, 75)], 0.2) == make_configuration(
        0.1, 50, 75
    )


def test_a_label_is_the_shortest_text_that_identifies_a_configuration() -> None:
    default_lr, other_lr, other_name = (
        make_configuration(0.1, 5, 5),
        make_configuration(0.1, 5, 5, 1e-5),
        make_configuration(0.1, 6, 5, name="again"),
    )
    assert make_label(default_lr, [default_lr, make_configuration(0.2, 5, 5)]) == "0.1"
    assert make_label(default_lr, [default_lr, other_lr]) == "0.1, lr 0.001"
    assert make_label(other_name, [default_lr, other_name]) == "0.1 (again)"


def test_configurations_that_are_not_distinguishable_are_named_and_others_are_not() -> None:
    three = [make_configuration(0.1, 50, 78), make_configuration(0.2, 49, 79), make_configuration(0.3, 20, 80)]
    text = describe_recommendation(three, 0.1, SCORE)
    assert re.search(r"^Not distinguishable\b.*\bVOC F1: mix\.ratio 0\.1; 0\.2\. ", text), text
    output = list_caveats(three, 0.1, SCORE)
    # The rows of the first two differ in one comment of a hundred.
    assert sum(line.startswith("0.2: its VOC F1 differs by -0.010 (95 %: ") for line in output) == 1
    assert not any("0.3" in line for line in output)


def test_a_loss_whose_interval_exceeds_the_limit_is_a_caveat() -> None:
    assert any("over the limit of 0.1" in line for line in list_caveats(FOUR, 0.1, SCORE))
    assert not any("over the limit" in line for line in list_caveats([make_configuration(0.5, 40, 80)], 0.1, SCORE))


def test_rows_are_separated_by_line_feeds_only() -> None:
    run = make_run(0, 60, 40)
    assert isinstance(run.files, Rows)
    run.files.rows["metrics/mmlu/tuned.jsonl"][0]["answer"] = "A\u2028B"
    rows = run.read_rows(MMLU)
    assert rows is not None
    assert len(rows) == 100


def make_seeds(ratio: float, *values: tuple[int, int]) -> list[Run]:
    return [make_run(ratio, f1, acc, seed=seed) for seed, (f1, acc) in enumerate(values)]


def test_runs_that_differ_in_their_seed_are_one_configuration_with_means() -> None:
    few, many = make_configurations(*make_seeds(0, (60, 40), (66, 44), (57, 39)), make_run(0.5, 40, 75))
    assert (few.seeds, many.seeds) == ([0, 1, 2], [0])
    assert few.task["value"] == pytest.approx(0.61)
    assert few.general["value"] == pytest.approx(0.41)
    assert few.loss["value"] == pytest.approx(0.39)
    assert few.loss["low"] < 0.36 and few.loss["high"] > 0.41
    assert many.task == many.runs[0].read_estimate(TASK_METRIC)
    assert few.estimates["ifeval.prompt_strict"] == {
        "value": 0.6,
        "low": pytest.approx(0.5, 0.03),
        "high": pytest.approx(0.7, 0.03),
    }


def test_several_seeds_have_a_wider_interval_than_one_run() -> None:
    (three,) = make_configurations(*make_seeds(0, (50, 40), (70, 40), (58, 40)))
    one_run = make_configuration(0, 58, 40).task
    assert three.task["high"] - three.task["low"] > 1.5 * (one_run["high"] - one_run["low"])


def test_a_difference_that_one_seed_shows_may_vanish_with_several_seeds() -> None:
    assert describe_recommendation(
        [make_configuration(0.1, 60, 80), make_configuration(0.2, 45, 80)], 0.1, SCORE
    ).startswith("mix.ratio 0.1: VOC F1 0.600")
    configurations = make_configurations(
        *make_seeds(0.1, (60, 80), (40, 80), (62, 80)), *make_seeds(0.2, (45, 80), (61, 80), (40, 80))
    )
    assert describe_recommendation(configurations, 0.1, SCORE).startswith(
        "Not distinguishable by VOC F1: mix.ratio 0.1; 0.2. "
    )


def test_missing_seeds_are_named_and_the_others_are_used() -> None:
    configurations = make_configurations(
        *make_seeds(0, (60, 40), (61, 40), (62, 41)), *make_seeds(0.5, (40, 75), (41, 76))
    )
    (line,) = describe_missing_seeds(configurations, lambda configuration: make_label(configuration, configurations))
    assert re.fullmatch(r"mix\.ratio 0\.5: .*\bseed 2; .*\bseed 0, 1", line), line
    assert configurations[1].task["value"] == pytest.approx(0.405)


def test_the_note_on_intervals_depends_on_the_number_of_seeds() -> None:
    several = make_configurations(*make_seeds(0, (60, 40), (61, 40)))
    assert describe_intervals(FOUR) == [ONE_SEED]
    (line,) = describe_intervals(several)
    assert re.search(r"95 %.*\bseeds and test items\b", line), line
    (mixed,) = describe_intervals([*several, make_configuration(0.5, 40, 75)])
    assert "one seed (mix.ratio 0.5)" in mixed


def test_a_metric_without_rows_has_an_interval_only_over_seeds() -> None:
    runs = [make_run(0, 60, 40, seed=seed, **{"gsm8k acc": value}) for seed, value in enumerate((0.5, 0.6, 0.55))]
    base = {"value": 0.7}
    for run in runs:
        line = run.lines["general.gsm8k acc"]
        line["models"]["base"] = base
        line["change"] = {"value": round(line["models"]["tuned"]["value"] - 0.7, 4)}
    (found,) = make_configurations(*runs, axis="general.gsm8k acc")
    assert found.general == {
        "value": 0.55,
        "low": pytest.approx(0.426, abs=1e-3),
        "high": pytest.approx(0.674, abs=1e-3),
    }
    assert found.loss["value"] == pytest.approx(0.15)
    assert found.loss["low"] == pytest.approx(0.15 - 0.124, abs=1e-3)


def test_on_an_axis_where_lower_is_better_a_rise_is_a_loss() -> None:
    axis = "mmlu.unparsed"
    configurations = make_configurations(make_run(0, 60, 40, unparsed=41), make_run(0.5, 55, 75, unparsed=6), axis=axis)
    assert [configuration.loss["value"] for configuration in configurations] == [0.4, 0.05]
    assert all(
        configuration.loss["low"] <= configuration.loss["value"] <= configuration.loss["high"]
        for configuration in configurations
    )
    assert mark_front(configurations) == [True, True]
    assert choose_best(configurations, 0.1) is configurations[1]
    assert f"{BY_NAME['mmlu.unparsed'].title} loss" in render_table(configurations, 0.1).splitlines()[0]
    drawn = list_words(render_svg(make_frontier_chart(configurations, ["0", "0.5"], configurations[1], 0.1)))
    assert {"answers that name no choice (lower is better)", "base plus 0.1"} <= drawn


def test_the_loss_is_measured_on_the_chosen_axis() -> None:
    (found,) = make_configurations(make_run(0, 60, 40, ifeval=20), axis="ifeval.prompt_strict")
    assert (found.general["value"], found.loss["value"]) == (0.2, 0.4)
    assert "0.4 of IFEval or less" in describe_recommendation([found], 0.4, SCORE)


@pytest.mark.parametrize("name", ["mmlu.ac", "voc.f1", "general.", "nothing"])
def test_an_axis_that_is_not_a_metric_of_general_ability_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"^--axis: .*'{name}'$"):
        find_axis(name)


def test_an_axis_is_a_compared_metric_or_a_task_of_the_profile() -> None:
    assert find_axis("") is BY_NAME["mmlu.acc"]
    assert find_axis("ifeval.prompt_strict") is BY_NAME["ifeval.prompt_strict"]
    assert find_axis("general.gsm8k acc").name == "general.gsm8k acc"


def test_a_loss_has_the_ends_of_its_interval_in_order() -> None:
    change = {"value": -0.1, "low": -0.2, "high": 0.05, "p": 0.1}
    assert compute_drop(change, BY_NAME["mmlu.acc"]) == {"value": 0.1, "low": -0.05, "high": 0.2}
    assert compute_drop(change, BY_NAME["mmlu.unparsed"]) == {"value": -0.1, "low": -0.2, "high": 0.05}


def test_lines_are_indexed_by_metric_name() -> None:
    found = index_by_metric(
        [{"part": "voc", "key": "f1"}, {"part": "leak", "key": ""}, {"name": "a.b", "part": "x", "key": "y"}]
    )
    assert list(found) == ["voc.f1", "leak", "a.b"]


LOCK = {
    "base": {"outs": [{"path": "models/base", "md5": "b"}], "params": {"profiles/demo.yaml": {"model": {"hub": "x"}}}},
    "mix": {
        "deps": [{"path": "models/base", "md5": "b"}, {"path": "alloy/mixing", "md5": "code"}],
        "params": {"params.yaml": {"mix": {"ratio": 0.25, "unit": "tokens"}, "seed": 3}},
        "outs": [{"path": "data/mix", "md5": "m"}],
    },
    "train": {
        "deps": [{"path": "data/mix", "md5": "m"}],
        "params": {"params.yaml": {"seed": 3}, "profiles/demo.yaml": {"train": {"lr": "1e-05", "epochs": 2}}},
        "outs": [{"path": "models/trained", "md5": "t"}],
    },
    "compare": {"deps": [{"path": "models/trained", "md5": "t"}], "params": {"params.yaml": {"gate": {"mmlu": None}}}},
    "report": {"deps": [{"path": "stages/report.py", "md5": "r"}]},
}


def change_settings(*path: str, to: object) -> RunSettings:
    lock = json.loads(json.dumps(LOCK))
    inner = lock
    for key in path[:-1]:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[path[-1]] = to
    return read_run_settings(lock)


def test_settings_of_a_run_are_read_from_its_lock() -> None:
    settings = read_run_settings(LOCK)
    assert (settings.ratio, settings.lr, settings.seed) == (0.25, 1e-5, 3)


def test_seed_gate_report_and_outputs_are_not_part_of_a_configuration() -> None:
    same = read_run_settings(LOCK).configuration
    assert change_settings("mix", "params", "params.yaml", "seed", to=4).configuration == same
    assert change_settings("compare", "params", "params.yaml", "gate", to={"mmlu": {"acc": 0.1}}).configuration == same
    assert change_settings("report", "deps", "0", "md5", to="x").configuration == same
    assert change_settings("mix", "outs", "0", "md5", to="x").configuration == same


def test_another_param_or_other_code_is_another_configuration() -> None:
    same = read_run_settings(LOCK).configuration
    assert change_settings("mix", "params", "params.yaml", "mix", "unit", to="examples").configuration != same
    assert change_settings("train", "params", "profiles/demo.yaml", "train", "epochs", to=3).configuration != same
    assert change_settings("mix", "deps", "1", "md5", to="other").configuration != same
    assert change_settings("base", "params", "profiles/demo.yaml", "model", to={"hub": "y"}).configuration != same


def test_the_table_lists_configurations_base_and_svm_and_marks_the_chosen_one() -> None:
    header, rule, *rows = render_table(FOUR, 0.1).splitlines()
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    assert [line.split("|")[1].strip() for line in rows] == ["0", "0.1", "> 0.25", "0.5", "base", "svm"]
    assert "0.500 (0." in rows[2]


def test_the_csv_has_a_row_per_configuration_followed_by_its_runs() -> None:
    three = make_configurations(*make_seeds(0, (60, 40), (66, 44)), *make_seeds(0.5, (40, 79)))
    read = list(csv.DictReader(io.StringIO(render_csv(three, 0.1))))
    assert [(row["kind"], row["ratio"], row["seed"], row["seeds"]) for row in read] == [
        ("configuration", "0", "", "2"),
        ("run", "0", "0", "1"),
        ("run", "0", "1", "1"),
        ("configuration", "0.5", "", "1"),
        ("run", "0.5", "0", "1"),
    ]
    assert [float(row["voc_f1"]) for row in read] == [0.63, 0.6, 0.66, 0.4, 0.4]
    assert [float(row["mmlu_loss"]) for row in read] == [0.38, 0.4, 0.36, 0.01, 0.01]
    assert [row["recommended"] for row in read] == ["0", "", "", "1", ""]
    assert [row["experiment"] for row in read] == ["", "ratio-0-seed-0", "ratio-0-seed-1", "", "ratio-0.5-seed-0"]
    assert float(read[0]["mmlu_loss_low"]) < 0.38 < float(read[0]["mmlu_loss_high"])


def test_the_table_shows_the_requested_and_the_trained_share() -> None:
    runs = [replace(make_run(0.4, 60, 70, seed=seed), budget=Budget(9, 5, 1e-3, general=0.3)) for seed in (0, 1)]
    runs = [replace(run, settings=replace(run.settings, configuration="same")) for run in runs]
    (line,) = (line for line in render_table(make_configurations(*runs), 0.2).splitlines() if " 0.4 " in line)
    assert line.split("|")[2].strip() == "0.300"
    shares = [row["general_share"] for row in csv.DictReader(io.StringIO(render_csv(make_configurations(*runs), 0.2)))]
    assert shares == ["0.3"] * 3


def test_the_column_of_path_and_emotion_is_empty_if_labels_have_no_emotions() -> None:
    tuned = make_metrics(f1=60, full=40)
    with_emotions = compare(tuned, base=make_metrics(full=5), svm=make_svm_metrics(full=20))
    run = Run(
        "one",
        RunSettings(0.0, 1e-3, 0, ""),
        index_by_metric(with_emotions),
        files=Rows(tuned[1], make_metrics(full=5)[1]),
    )
    found = make_configurations(run)
    row, _ = csv.DictReader(io.StringIO(render_csv(found, 0.1)))
    assert float(row["voc_f1_full_low"]) < float(row["voc_f1_full"]) == 0.4 < float(row["voc_f1_full_high"])
    assert next(csv.DictReader(io.StringIO(render_csv(FOUR, 0.1))))["voc_f1_full"] == ""
    assert render_table(found, 0.1).splitlines()[0].split("|")[5].strip() == "VOC F1 full (n 100)"
    assert row["voc_f1_full_n"] == "100"


@pytest.mark.parametrize("name", ["voc.f1", "mmlu.acc"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_items_have_no_marks_and_no_recommendation(name: str, seeds: int) -> None:
    runs = [
        make_run(ratio, f1, acc, seed=seed) for seed in range(seeds) for ratio, f1, acc in ((0, 60, 40), (0.5, 50, 75))
    ]
    for run in runs:
        run.lines[name]["n"] = 29
    found = make_configurations(*runs)
    assert mark_front(found) == [False, False]
    assert choose_best(found, 0.5) is None
    assert "29" in describe_recommendation(found, 0.5, SCORE) and describe_recommendation(found, 0.5, SCORE).startswith(
        "Too few items"
    )
    assert list_caveats(found, 0.5, SCORE) == []
    assert ">" not in render_table(found, 0.5) and "*" not in render_table(found, 0.5)
    labels = [make_label(configuration, found) for configuration in found]
    drawn = render_svg(make_frontier_chart(found, labels, choose_best(found, 0.5), 0.5))
    assert "Pareto front" not in drawn and "recommended" not in drawn
    if seeds > 1:
        assert "low" not in found[0].estimates[name]


@pytest.mark.parametrize(
    ("given", "gate", "limit"), [("", None, 0.02), ("", 0.1, 0.1), ("0.3", 0.1, 0.3), ("0", None, 0)]
)
def test_the_limit_is_the_option_else_the_gates_limit_else_the_default(
    given: str, gate: float | None, limit: float
) -> None:
    assert choose_limit(given, gate, MMLU) == limit


@pytest.mark.parametrize("given", ["2%", "-0.1", "nan", "1.5"])
def test_a_limit_that_is_not_a_share_is_refused(given: str) -> None:
    with pytest.raises(InputError, match=rf"^--max-loss: .*'{given}'$"):
        choose_limit(given, None, MMLU)


def list_words(text: str) -> set[str]:
    """Return the text of an SVG file."""
    return {element.text or "" for element in ET.fromstring(text).iter() if element.tag.endswith("}text")}


def test_the_plot_has_a_legend_and_no_label_covers_another() -> None:
    close = [
        make_configuration(0, 60, 40),
        make_configuration(0.05, 60, 41),
        make_configuration(0.1, 59, 40),
        make_configuration(0.15, 60, 40, name="b"),
        make_configuration(0.5, 40, 79),
    ]
    labels = [make_label(configuration, close) for configuration in close]
    drawn = render_svg(make_frontier_chart(close, labels, close[-1], 0.02), height=4.4)
    assert {"Pareto front", "recommended", "base", "base less 0.02", "mix.ratio", *labels} <= list_words(drawn)
    assert render_svg(make_frontier_chart(close, labels, close[-1], 0.02), height=4.4) == drawn
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    make_frontier_chart(close, labels, close[-1], 0.02)(axes)
    canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads to it
    assert [text.get_text() for text in axes.texts] == labels
    assert not any(first.overlaps(other) for first, other in combinations(boxes, 2))


def test_a_single_configuration_can_be_drawn_and_each_rate_has_its_marker() -> None:
    assert "recommended" not in render_svg(make_frontier_chart(FOUR[:1], ["0"], None, 0.02))
    two = [make_configuration(0, 60, 40), make_configuration(0, 50, 45, 1e-5)]
    drawn = render_svg(make_frontier_chart(two, ["0", "0"], None, 0.1))
    assert {"mix.ratio at lr 0.001", "mix.ratio at lr 1e-05"} <= list_words(drawn)


def test_a_plot_of_several_seeds_says_that_it_shows_means() -> None:
    three = make_configurations(*make_seeds(0, (60, 40), (66, 44), (57, 39)))
    assert "VOC F1, mean of 3 seeds" in list_words(render_svg(make_frontier_chart(three, ["0"], None, 0.02)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratio 0 is committed, 0.25 an experiment, 0.3 waits in DVC's queue."""
    folder = write_project(tmp_path_factory.mktemp("frontier") / "project")
    run_command(folder, "dvc", "repro", "-q")
    run_command(folder, "git", "add", "-A")
    run_command(folder, "git", "commit", "-qm", "customer data only")
    run_command(folder, "dvc", "exp", "run", "-q", "--temp", "-n", "quarter", "-S", "mix.ratio=0.25")
    run_command(folder, "dvc", "exp", "run", "-q", "--queue", "-n", "waits", "-S", "mix.ratio=0.3")
    return folder


@pytest.mark.slow
def test_runs_are_the_commit_and_its_finished_experiments_without_duplicates(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    runs, left_out = read_runs(MMLU)
    assert [
        (run.name, run.settings.ratio, run.settings.lr, (run.read_estimate(TASK_METRIC) or {})["value"]) for run in runs
    ] == [
        ("HEAD", 0.0, 0.003, 0.6),
        ("quarter", 0.25, 0.003, 0.5),
    ]
    assert [line.partition(",")[0] for line in left_out] == ["waits: queued"]
    assert [run.budget.steps for run in runs if run.budget] == [100, 133]


@pytest.mark.slow
def test_edited_params_that_were_not_run_are_not_a_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    params = Path("params.yaml")
    before = params.read_text()
    params.write_text(before.replace("ratio: 0.0", "ratio: 0.9"))
    try:
        runs, _ = read_runs(MMLU)
    finally:
        params.write_text(before)
    assert [run.settings.ratio for run in runs] == [0.0, 0.25]


@pytest.mark.slow
def test_a_workspace_whose_files_differ_from_the_lock_is_left_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `git checkout` without `dvc checkout` leaves them.
    monkeypatch.chdir(project)
    compared = Path("metrics/compare.json")
    before = compared.read_bytes()
    compared.unlink()
    compared.write_bytes(before.replace(b'"value":', b'"value": 9'))
    try:
        runs, _ = read_runs(MMLU)
    finally:
        compared.write_bytes(before)
    assert [run.settings.ratio for run in runs] == [0.0, 0.25]
    assert all((run.read_estimate(TASK_METRIC) or {})["value"] < 1 for run in runs)


@pytest.mark.slow
def test_an_unfinished_run_is_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    lock = Path("dvc.lock")
    before = lock.read_text()
    run_command(project, "dvc", "exp", "run", "-q", "--temp", "-n", "half", "-S", "mix.ratio=0.1", "mix")
    try:
        stages = yaml.safe_load(before)
        del stages["stages"]["compare"]
        lock.write_text(yaml.safe_dump(stages))
        runs, left_out = read_runs(MMLU)
    finally:
        lock.write_text(before)
    assert any(line.startswith("half: ") for line in left_out)
    assert [run.name for run in runs] == ["HEAD", "quarter"]


@pytest.mark.slow
def test_a_run_whose_metrics_are_not_in_the_cache_is_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    cache = Path(".dvc/cache")
    cache.rename(".dvc/away")
    try:
        runs, left_out = read_runs(MMLU)
    finally:
        Path(".dvc/away").rename(cache)
    assert any(line.startswith("quarter: metrics/compare.json ") for line in left_out)
    assert [run.name for run in runs] == ["workspace"]


@pytest.mark.slow
def test_the_recommendation_is_printed_and_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    write_frontier("0.2")
    output = capsys.readouterr().out
    assert re.search(r"\bmix\.ratio 0\.25: VOC F1 0\.500, .*\bonly configuration\b.* 0\.2 of MMLU\b", output), output
    assert ONE_SEED in output.splitlines()
    assert "Warning: steps differ: 100 to 133;" in output
    assert Path("metrics/frontier/frontier.md").read_text() in output
    assert ET.parse("metrics/frontier/frontier.svg").getroot().tag.endswith("}svg")
    assert run_command(project, "git", "status", "--short", "metrics/frontier") == ""


@pytest.mark.slow
def test_a_run_that_did_not_measure_the_axis_is_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    runs, left_out = read_runs(find_axis("general.gsm8k acc"))
    assert runs == []
    assert any(line.startswith("quarter: general.gsm8k acc ") for line in left_out)
