"""Which arm to take: the front and the limit as functions, and what is read of the runs of a real repository."""

import csv
import io
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from alloy.comparison.charts import svg
from alloy.core.files import InputError
from alloy.sweep.analyze import best, doubts, label, pareto, recommend
from alloy.sweep.chart import front
from alloy.sweep.frontier import as_csv, conclude, limit_of, table
from alloy.sweep.results import Arm, read_arms
from measured import lines, measured, rival
from sweeping import run, write_project


class Rows:
    """The files of an arm: its rows alone."""

    def __init__(self, f1: int) -> None:
        self.text = "\n".join(
            f'{{"id": "{n}", "matched": {int(n < f1)}, "predicted": 1, "gold": 1}}' for n in range(100)
        )

    def read_text(self, path: str) -> str:
        assert path == "metrics/score/tuned.jsonl"
        return self.text


def arm(ratio: float, f1: int, acc: int, lr: float = 1e-3, name: str | None = None) -> Arm:
    """Return an arm whose base has an accuracy of 0.80."""
    compared = lines(measured(f1=f1, acc=acc), svm=rival())
    measures = {(line["part"], line["key"]): line for line in compared}
    return Arm(name or f"ratio-{ratio:g}", ratio, lr, measures, files=Rows(f1))  # type: ignore[arg-type]


ARMS = [arm(0, 60, 40), arm(0.1, 55, 60), arm(0.25, 50, 70), arm(0.5, 40, 75)]


def test_a_point_is_on_the_front_if_none_is_as_good_in_both_and_better_in_one() -> None:
    assert pareto([(0.4, 0.6), (0.5, 0.5), (0.4, 0.5), (0.6, 0.1)]) == [True, True, False, True]


def test_equal_points_share_the_front_and_one_that_is_worse_in_one_figure_alone_is_off_it() -> None:
    assert pareto([(0.5, 0.5), (0.5, 0.5), (0.5, 0.4)]) == [True, True, False]


def test_one_point_is_the_front_and_none_is_no_front() -> None:
    assert pareto([(0.1, 0.1)]) == [True]
    assert pareto([]) == []


def test_the_best_f1_within_the_limit_is_recommended_and_the_next_beyond_it_named() -> None:
    assert recommend(ARMS, 0.1) == (
        "mix.ratio 0.25: F1 0.500, the best of the 2 arms that lose 0.1 of MMLU or less (it loses 0.100); "
        "the next, 0.1, has F1 0.550 and loses 0.200."
    )


def test_where_all_arms_are_within_the_limit_none_is_better() -> None:
    assert recommend(ARMS, 0.5).endswith(
        "the best of the 4 arms that lose 0.5 of MMLU or less (it loses 0.400); no arm has a better F1."
    )


def test_one_arm_is_the_only_one() -> None:
    assert "the only arm that loses 0.5 of MMLU or less" in recommend(ARMS[:1], 0.5)


def test_no_arm_within_the_limit_names_the_nearest() -> None:
    assert recommend(ARMS, 0.02) == (
        "No arm loses 0.02 of MMLU or less; the nearest is mix.ratio 0.5, which loses 0.050, F1 0.400."
    )
    assert best(ARMS, 0.02) is None


def test_no_arm_at_all_says_what_to_do() -> None:
    assert recommend([], 0.02) == "No arm is finished: `make sweep` runs some."


def test_an_arm_that_gained_says_so() -> None:
    assert "(it gains 0.050)" in recommend([arm(0.5, 40, 85)], 0.02)


def test_of_equal_f1_that_which_loses_less_is_taken_and_of_equal_arms_the_smaller_ratio() -> None:
    assert best([arm(0.1, 50, 70), arm(0.25, 50, 75)], 0.2) == arm(0.25, 50, 75)
    assert best([arm(0.25, 50, 75), arm(0.1, 50, 75)], 0.2) == arm(0.1, 50, 75)


def test_a_label_says_no_more_than_tells_arms_apart() -> None:
    one, other, again = arm(0.1, 5, 5), arm(0.1, 5, 5, 1e-5), arm(0.1, 6, 5, name="again")
    assert label(one, [one, arm(0.2, 5, 5)]) == "0.1"
    assert label(one, [one, other]) == "0.1, lr 0.001"
    assert label(again, [one, again]) == "0.1 (again)"


def test_arms_whose_f1_is_not_told_apart_are_named_and_others_are_not() -> None:
    said = doubts([arm(0.1, 50, 78), arm(0.2, 49, 79), arm(0.3, 20, 80)], 0.1, 500, 0)
    # The rows of the first two differ in one comment of a hundred.
    assert sum(line.startswith("Not told apart by F1: 0.2, whose F1 differs by -0.010") for line in said) == 1
    assert not any("0.3" in line for line in said)


def test_a_loss_that_may_be_over_the_limit_is_said() -> None:
    assert any("over the limit of 0.1" in line for line in doubts(ARMS, 0.1, 500, 0))
    assert not any("over the limit" in line for line in doubts([arm(0.5, 40, 80)], 0.1, 500, 0))


def test_the_table_has_arms_base_and_rival_in_columns_and_marks_the_chosen_one() -> None:
    head, rule, *rest = table(ARMS, 0.1).splitlines()
    assert len({len(line) for line in (head, rule, *rest)}) == 1
    assert [line.split("|")[1].strip() for line in rest] == ["0", "0.1", "> 0.25", "0.5", "base", "svm"]
    assert "0.500 (0." in rest[2]


def test_the_csv_has_a_number_a_column() -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(ARMS, 0.1))))
    assert [row["recommended"] for row in read] == ["0", "0", "1", "0"]
    assert (float(read[0]["voc_f1"]), float(read[0]["mmlu_loss"])) == (0.6, 0.4)
    assert float(read[0]["mmlu_loss_low"]) < 0.4 < float(read[0]["mmlu_loss_high"])


def test_path_and_emotion_have_a_column_that_is_empty_if_the_labels_have_no_emotions() -> None:
    measures = lines(measured(f1=60, full=40), base=measured(full=5), svm=rival(full=20))
    one = Arm("one", 0.0, 1e-3, {(line["part"], line["key"]): line for line in measures})
    (row,) = csv.DictReader(io.StringIO(as_csv([one], 0.1)))
    assert float(row["voc_f1_full_low"]) < float(row["voc_f1_full"]) == 0.4 < float(row["voc_f1_full_high"])
    assert next(csv.DictReader(io.StringIO(as_csv(ARMS, 0.1))))["voc_f1_full"] == ""
    assert table([one], 0.1).splitlines()[0].split("|")[4].strip() == "VOC F1 full"


@pytest.mark.parametrize(
    ("given", "gate", "limit"), [("", None, 0.02), ("", 0.1, 0.1), ("0.3", 0.1, 0.3), ("0", None, 0)]
)
def test_the_limit_is_the_given_one_else_the_gates(given: str, gate: float | None, limit: float) -> None:
    assert limit_of(given, gate) == limit


@pytest.mark.parametrize("given", ["2%", "-0.1", "nan", "1.5"])
def test_a_limit_that_is_no_share_is_refused(given: str) -> None:
    with pytest.raises(InputError, match=r"^--mmlu-drop: "):
        limit_of(given, None)


def words(text: str) -> set[str]:
    """Return what an SVG says."""
    return {element.text or "" for element in ET.fromstring(text).iter() if element.tag.endswith("}text")}


def test_the_plot_names_its_parts_and_no_label_covers_another() -> None:
    close = [arm(0, 60, 40), arm(0.05, 60, 41), arm(0.1, 59, 40), arm(0.15, 60, 40, name="b"), arm(0.5, 40, 79)]
    labels = [label(one, close) for one in close]
    drawn = svg(front(close, labels, close[-1], 0.02), height=4.4)
    assert {"Pareto front", "recommended", "base", "base less 0.02", "mix.ratio", *labels} <= words(drawn)
    assert svg(front(close, labels, close[-1], 0.02), height=4.4) == drawn
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front(close, labels, close[-1], 0.02)(axes)
    canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads to it
    assert [text.get_text() for text in axes.texts] == labels
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_one_arm_can_be_drawn_and_rates_have_marks_of_their_own() -> None:
    assert "recommended" not in svg(front(ARMS[:1], ["0"], None, 0.02))
    two = [arm(0, 60, 40), arm(0, 50, 45, 1e-5)]
    drawn = svg(front(two, ["0", "0"], None, 0.1))
    assert {"mix.ratio at lr 0.001", "mix.ratio at lr 1e-05"} <= words(drawn)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratio 0 is committed, 0.25 an experiment, 0.3 waits in DVC's queue."""
    folder = write_project(tmp_path_factory.mktemp("frontier") / "project")
    run(folder, "dvc", "repro", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "customer data only")
    run(folder, "dvc", "exp", "run", "-q", "--temp", "-n", "quarter", "-S", "mix.ratio=0.25")
    run(folder, "dvc", "exp", "run", "-q", "--queue", "-n", "waits", "-S", "mix.ratio=0.3")
    return folder


@pytest.mark.slow
def test_arms_are_the_commit_and_its_finished_experiments_each_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    arms, left = read_arms()
    assert [(one.name, one.ratio, one.lr, one.f1["value"]) for one in arms] == [
        ("HEAD", 0.0, 0.003, 0.6),
        ("quarter", 0.25, 0.003, 0.5),
    ]
    assert left == ["waits: queued, it has no figures"]
    assert [one.given.steps for one in arms if one.given] == [100, 133]


@pytest.mark.slow
def test_params_that_were_edited_and_not_run_make_no_arm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    params = Path("params.yaml")
    before = params.read_text()
    params.write_text(before.replace("ratio: 0.0", "ratio: 0.9"))
    try:
        arms, _ = read_arms()
    finally:
        params.write_text(before)
    assert [one.ratio for one in arms] == [0.0, 0.25]


@pytest.mark.slow
def test_files_of_another_run_than_the_lock_s_are_no_arm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As `git checkout` without `dvc checkout` leaves them.
    monkeypatch.chdir(project)
    compared = Path("metrics/compare.json")
    before = compared.read_bytes()
    compared.unlink()
    compared.write_bytes(before.replace(b'"value":', b'"value": 9'))
    try:
        arms, _ = read_arms()
    finally:
        compared.write_bytes(before)
    assert [one.ratio for one in arms] == [0.0, 0.25]
    assert all(one.f1["value"] < 1 for one in arms)


@pytest.mark.slow
def test_a_run_that_stopped_on_its_way_is_no_arm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    lock = Path("dvc.lock")
    before = lock.read_text()
    run(project, "dvc", "exp", "run", "-q", "--temp", "-n", "half", "-S", "mix.ratio=0.1", "mix")
    try:
        stages = yaml.safe_load(before)
        del stages["stages"]["compare"]
        lock.write_text(yaml.safe_dump(stages))
        arms, left = read_arms()
    finally:
        lock.write_text(before)
    assert "half: not run to its end" in left
    assert [one.name for one in arms] == ["HEAD", "quarter"]


@pytest.mark.slow
def test_figures_that_are_gone_from_the_cache_leave_the_arm_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    cache = Path(".dvc/cache")
    cache.rename(".dvc/away")
    try:
        arms, left = read_arms()
    finally:
        Path(".dvc/away").rename(cache)
    assert "quarter: metrics/compare.json is not in DVC's cache; run the arm again" in left
    assert [one.name for one in arms] == ["workspace"]


@pytest.mark.slow
def test_the_recommendation_is_printed_and_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    conclude("0.2")
    said = capsys.readouterr().out
    assert "mix.ratio 0.25: F1 0.500, the only arm that loses 0.2 of MMLU or less" in said
    assert "Warning: steps differ: 100 to 133;" in said
    assert Path("metrics/frontier/frontier.md").read_text() in said
    assert ET.parse("metrics/frontier/frontier.svg").getroot().tag.endswith("}svg")
    assert run(project, "git", "status", "--short", "metrics/frontier") == ""
