"""The page of a review: its order, its summary, and the workflow that prints it in a pull request."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from alloy.commands.review import Change, list_changes, render_page, summarize_changes
from alloy.comparison.metrics import BY_NAME
from alloy.comparison.seeds import ONE_SEED_EACH
from repositories import commit_all, make_repository, read_output, run_command

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / ".github/workflows/review.yml").read_text()
PARAMS = {"profile": "demo", "mix": {"ratio": 0.0}, "note": "a"}
SUMMARY = {
    "base": {"voc": {"f1": 0.0212, "comments": 291}, "mmlu": {"acc": 0.9054}},
    "tuned": {
        "voc": {"f1": 0.4626, "invalid_json": 0.0, "comments": 291},
        "mmlu": {"acc": 0.4143, "questions": 280},
        "general": {"gsm8k acc": 0.5, "n": {"gsm8k acc": 80}},
    },
}
TRAIN = {"train": {"loss": 0.3071, "tokens": 1038570, "peak_memory": 0.88, "only_before": 1}}


def write_run(folder: Path, params: dict, summary: dict, train: dict) -> None:
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "metrics/summary.json").write_text(json.dumps(summary))
    (folder / "metrics/train.json").write_text(json.dumps(train))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A repository with a commit `before` and another `after` that changes params and metrics."""
    folder = make_repository(tmp_path_factory.mktemp("review"))
    (folder / "dvc.yaml").write_text("metrics: [metrics/summary.json, metrics/train.json]\nparams: [params.yaml]\n")
    write_run(folder, PARAMS, SUMMARY, TRAIN)
    commit_all(folder, "before")
    read_output(folder, "git", "tag", "before")
    summary = json.loads(json.dumps(SUMMARY))
    summary["tuned"]["voc"] = {"f1": 0.4252, "invalid_json": 0.01, "comments": 291}
    summary["tuned"]["mmlu"]["questions"] = 270
    summary["tuned"]["mmlu"]["acc"] = 0.7304
    summary["tuned"]["mmlu"]["unparsed"] = 0.5625
    summary["tuned"]["general"]["gsm8k acc"] = 0.6
    params = {"profile": "demo", "mix": {"ratio": 0.25}, "note": "a | <b>"}
    write_run(folder, params, summary, {"train": {"loss": 0.3071, "tokens": 2038570, "peak_memory": 0.9}})
    commit_all(folder, "after")
    read_output(folder, "git", "tag", "after")
    return folder


def run_review(folder: Path, *revisions: str, **env: str) -> str:
    return run_command(folder, sys.executable, "-m", "alloy", "review", *revisions, **env).stdout


def read_first_cells(page: str) -> list[str]:
    """Return the cells in the first column of the page's tables."""
    return re.findall(r"^\| (?!---|metric|param)(.+?) \|", page, re.MULTILINE)


@pytest.mark.slow
def test_the_order_is_params_then_headline_metrics_then_other_metrics(project):
    assert read_first_cells(run_review(project, "before", "after")) == [
        "`mix.ratio`",
        "`note`",
        "tuned: VOC F1",
        "tuned: answers that are not valid JSON",
        *(f"tuned: {BY_NAME[name].title}" for name in ("mmlu.acc", "mmlu.unparsed")),
        "tuned: `gsm8k acc`",
        "`metrics/summary.json` `tuned.mmlu.questions`",  # beside its metrics too, as n
        "`metrics/train.json` `train.only_before`",
        "`metrics/train.json` `train.peak_memory`",
        "`metrics/train.json` `train.tokens`",
    ]


@pytest.mark.slow
def test_the_page_does_not_depend_on_hash_seeds(project):
    pages = {run_review(project, "before", "after", PYTHONHASHSEED=seed) for seed in ("1", "2", "3")}
    assert len(pages) == 1


@pytest.mark.slow
def test_the_summary_has_the_changed_params_and_the_metrics_that_got_better_or_worse(project):
    sentence = run_review(project, "before", "after").splitlines()[2]
    assert sentence == (
        "Changed: `mix.ratio` from 0.0 to 0.25; `note` from a to a | &lt;b&gt;. "
        f"Better: {BY_NAME['mmlu.acc'].title} +0.316 (0.414 to 0.730). Worse: VOC F1 -0.037 (0.463 to 0.425). "
        + ONE_SEED_EACH
    )


def test_a_training_loss_is_worse_if_it_rises_and_better_if_it_falls():
    def summarize(old: float, new: float) -> str:
        return summarize_changes([], [Change("metrics/summary.json", "tuned.loss.general", old, new)])

    title = BY_NAME["loss.general"].title
    assert f"Better: nothing. Worse: {title} +0.500 (2.000 to 2.500)." in summarize(2.0, 2.5)
    assert f"Better: {title} -0.500 (2.500 to 2.000). Worse: nothing." in summarize(2.5, 2.0)


def test_a_metric_of_too_few_items_is_neither_better_nor_worse():
    change = Change("metrics/summary.json", "tuned.voc.f1", 0.1, 0.9)
    page = summarize_changes([], [change], {"tuned.voc.f1": (29, 200)})
    assert "Better: nothing. Worse: nothing. Too few items to tell (fewer than 30): VOC F1." in page
    assert "Better: VOC F1" in summarize_changes([], [change], {"tuned.voc.f1": (30, 30)})


@pytest.mark.slow
def test_shares_have_three_decimals_counts_have_none_and_missing_values_are_dashes(project):
    page = run_review(project, "before", "after")
    assert "| tuned: VOC F1 | 291 | 0.463 | 0.425 | -0.037 |" in page
    assert f"| tuned: {BY_NAME['mmlu.unparsed'].title} | 280 → 270 | - | 0.562 | - |" in page
    assert "| tuned: `gsm8k acc` | 80 |" in page
    assert "| `metrics/train.json` `train.tokens` | 1,038,570 | 2,038,570 | +1,000,000 |" in page
    assert "| `metrics/train.json` `train.only_before` | 1 | - | - |" in page
    assert "train.loss" not in page


@pytest.mark.slow
def test_every_row_of_a_table_has_as_many_cells_as_its_header(project):
    tables = re.findall(r"(?:^\|.*\n?)+", run_review(project, "before", "after"), re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


@pytest.mark.slow
def test_two_equal_commits_have_no_changes(project):
    title, text = run_review(project, "after", "after").strip().split("\n\n")
    assert title.startswith("## ")
    assert not re.search(r"[|\d]", text), text


@pytest.mark.slow
def test_changed_params_with_equal_metrics_are_shown(project):
    page = render_page([Change("params.yaml", "seed", 0, 1)], [], "before", "after")
    assert "`seed` from 0 to 1" in page
    assert "Better" not in page
    assert "Worse" not in page


def test_changed_metrics_with_equal_params_are_shown():
    change = Change("metrics/summary.json", "tuned.voc.f1", 0.5, 0.6)
    page = render_page([], [change], "before", "after")
    assert re.search(r"Better: VOC F1 \+0\.100 \(0\.500 to 0\.600\)\. Worse: nothing\.", page), page


def test_chance_by_seeds_is_named_only_if_the_tuned_model_changed():
    for model, named in (("tuned", True), ("svm", False)):
        page = render_page([], [Change("metrics/summary.json", f"{model}.voc.f1", 0.5, 0.6)], "before", "after")
        assert (ONE_SEED_EACH in page) is named


def test_an_equal_value_is_not_a_change():
    assert list_changes({"metrics/summary.json": {"tuned.voc.f1": {"old": 0.5, "new": 0.5, "diff": 0.0}}}) == []


@pytest.mark.slow
def test_without_a_head_the_files_in_the_folder_are_compared(project):
    assert "tuned: VOC F1" in run_review(project, "before")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("revisions", "words"),
    [
        (["main", "nothere"], "nothere"),
        (["nowhere"], "nowhere"),
    ],
)
def test_an_unknown_revision_is_named_in_a_one_line_error(project, revisions, words):
    result = run_command(project, sys.executable, "-m", "alloy", "review", *revisions, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_workflow_may_only_read_and_has_no_secret():
    flow = yaml.safe_load(WORKFLOW)
    assert flow[True] == "pull_request"  # YAML reads `on` so; pull_request_target would run strangers' code with rights
    assert flow["permissions"] == {"contents": "read"}
    assert "secrets" not in WORKFLOW
    assert all("permissions" not in job for job in flow["jobs"].values())


def test_actions_are_pinned_by_commit_and_persist_no_credentials():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert len(workflows) >= 2
    for file in workflows:
        for line in file.read_text().splitlines():
            if "uses:" in line:  # with the release in a comment, for people
                assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line), line
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_the_workflow_runs_targets_of_the_makefile():
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = [step for job in yaml.safe_load(WORKFLOW)["jobs"].values() for step in job["steps"]]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    assert len(lines) == 4
    for line in lines:
        maker, target, *_ = line.split()
        assert maker == "make"
        assert target in targets


def test_the_workflow_puts_no_expression_into_a_shell_and_pins_what_it_uses():
    for step in yaml.safe_load(WORKFLOW)["jobs"]["review"]["steps"]:
        assert "${{" not in step.get("run", "")
