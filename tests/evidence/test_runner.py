"""`alloy evidence` as a user runs it: killed, continued, continued in another clone, and shown."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import read_json
from evidence_runs import EVIDENCE, commit_all, kill_at, list_records, read_results
from sweep_project import run_command, write_project

pytestmark = pytest.mark.slow

SMALL = {
    "title": "Small",
    "questions": ["Does it run?"],
    "settings": {"mix.unit": "examples"},
    "configurations": {"ratio 0": {"mix.ratio": 0.0}, "ratio 0.25": {"mix.ratio": 0.25}},
    "seeds": [0, 1],
    "prompt": "chat0",
}
RUNS = ["ratio-0-seed-0", "ratio-0-seed-1", "ratio-0.25-seed-0", "ratio-0.25-seed-1"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("evidence") / "project")
    (folder / "docs/evidence").mkdir(parents=True)
    (folder / "docs/evidence/small.yaml").write_text(yaml.safe_dump(SMALL))
    commit_all(folder)
    return folder


@pytest.fixture(scope="module")
def whole(project: Path) -> str:
    """The output of `alloy evidence` with all runs."""
    return run_command(project, *EVIDENCE, "small")


def test_each_run_has_a_record_and_the_page_shows_their_means(project: Path, whole: str) -> None:
    assert list_records(project) == RUNS
    found = read_results(project)
    assert found["missing"] == []
    assert [configuration["seeds"] for configuration in found["configurations"]] == [[0, 1], [0, 1]]
    f1 = found["configurations"][0]["metrics"]["voc.f1"]
    assert (f1["n"], f1["tuned"]["value"], f1["base"]["value"]) == (100, 0.61, 0.1)
    assert f1["tuned"]["low"] < 0.61 < f1["tuned"]["high"]
    assert f1["change"]["value"] == 0.51
    assert f1["over_svm"]["value"] == 0.31
    assert [row["metrics"]["voc.f1"]["tuned"] for row in found["runs"]] == [0.6, 0.62, 0.5, 0.52]
    assert {row["commit"] for row in found["runs"]} == {run_command(project, "git", "rev-parse", "HEAD").strip()}
    assert found["runs"][0]["machine"]["cores"] >= 1
    assert found["answers"] == {
        "prompt": "What is 0?", "base": "It is 0.", "tuned": {"ratio 0": "It is 0.", "ratio 0.25": "It is 0."},
    }  # fmt: skip
    page = (project / "docs/evidence/small.md").read_text()
    assert "| VOC F1 | 100 | 0.100 " in page
    assert "0.610 (" in page
    assert ONE_SEED not in page
    assert "<svg" in (project / "docs/evidence/small.svg").read_text()


def test_shared_stages_run_once_and_the_workspace_is_not_changed(project: Path, whole: str) -> None:
    assert whole.count("Running stage 'base'") == 1
    assert (
        run_command(project, "git", "status", "--porcelain", "--", "params.yaml", "profiles", "metrics", "dvc.lock")
        == ""
    )
    assert "evidence: run 4 of 4, stage train; " in whole


def test_finished_runs_are_not_run_again(project: Path, whole: str) -> None:
    before = read_results(project)
    output = run_command(project, *EVIDENCE, "small")
    assert "4 of 4 runs are finished" in output
    assert "Running stage" not in output
    assert read_results(project) == before


def test_a_run_that_another_experiment_has_finished_is_not_run_again(project: Path, whole: str, tmp_path: Path) -> None:
    copy = tmp_path / "second"
    run_command(project, "git", "clone", "-q", str(project), str(copy))
    shutil.copytree(project / "docs/evidence/partial", copy / "docs/evidence/partial", dirs_exist_ok=True)
    second = {
        "settings": {},
        "configurations": {"none": {"mix.ratio": 0.0, "mix.unit": "examples", "mix.repeat": False}},
        "seeds": [1],
    }
    (copy / "docs/evidence/second.yaml").write_text(yaml.safe_dump(SMALL | second))
    commit = read_results(project)["runs"][0]["commit"]
    output = run_command(copy, *EVIDENCE, "second", "--commit", commit)
    assert "Running stage" not in output
    first, again = (
        read_json(copy / f"docs/evidence/partial/{run}.json") for run in ("small/ratio-0-seed-1", "second/none-seed-1")
    )
    assert again.pop("same_as") == "small/ratio-0-seed-1"
    assert {key for key in first if first[key] != again[key]} == {"run", "configuration", "settings"}
    assert read_json(copy / "docs/evidence/second.json")["runs"][0]["run"] == "none-seed-1"


@pytest.mark.parametrize("moment", [("Running stage 'train'", 2), ("evidence: wrote", 3)])
def test_a_killed_experiment_continues_to_the_same_result(
    project: Path, whole: str, tmp_path: Path, moment: tuple[str, int]
) -> None:
    copy = clone_project(project, tmp_path / "copy")
    kill_at(copy, *moment, *EVIDENCE, "small")
    finished = len(list_records(copy))
    assert 0 < finished < len(RUNS)
    assert not (copy / "docs/evidence/small.json").exists()
    output = run_command(copy, *EVIDENCE, "small")
    assert f"{finished} of 4 runs are finished" in output
    assert read_results(copy) == read_results(project)


def clone_project(project: Path, copy: Path) -> Path:
    """Return a new clone of the commit that declares the experiment, without its cache."""
    first = run_command(project, "git", "log", "--reverse", "--format=%H", "--", "docs/evidence/small.yaml").split()[0]
    run_command(project, "git", "clone", "-q", str(project), str(copy))
    run_command(copy, "git", "checkout", "-q", "-B", "main", first)
    return copy


def test_another_machine_continues_from_the_records_and_their_commit(project: Path, whole: str, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "other")
    partial = Path("docs/evidence/partial/small")
    (copy / partial).mkdir(parents=True)
    for name in RUNS[:3]:
        shutil.copy(project / partial / f"{name}.json", copy / partial)
    run_command(copy, "git", "config", "user.email", "test@example.org")
    run_command(copy, "git", "config", "user.name", "Test")
    (copy / "work.py").write_text("raise SystemExit('work that goes on, and does not run')\n")
    commit_all(copy)
    output = run_command(copy, *EVIDENCE, "small")
    assert "3 of 4 runs are finished" in output
    assert output.count("Running stage 'train'") == 1
    assert read_results(copy) == read_results(project)


def test_a_part_of_an_experiment_is_run_and_shown_elsewhere(project: Path, whole: str) -> None:
    output = run_command(project, *EVIDENCE, "small", "--only", "ratio 0", "--seeds", "0", "--out", "metrics/real")
    assert list_records(project, out="metrics/real") == ["ratio-0-seed-0"]
    assert ONE_SEED in output
    found = read_json(project / "metrics/real/small.json")
    assert [row["run"] for row in found["runs"]] == ["ratio-0-seed-0"]
    assert (found["missing"], len(found["configurations"])) == ([], 1)


def test_an_incomplete_experiment_can_be_shown_and_names_missing_runs(
    project: Path, whole: str, tmp_path: Path
) -> None:
    copy = clone_project(project, tmp_path / "part")
    shutil.copytree(project / "docs/evidence/partial", copy / "docs/evidence/partial")
    (copy / "docs/evidence/partial/small/ratio-0-seed-0.json").unlink()
    run_command(copy, *EVIDENCE, "small", "--show")
    assert read_results(copy)["missing"] == ["ratio-0-seed-0"]
    assert "Runs that are missing: ratio-0-seed-0." in (copy / "docs/evidence/small.md").read_text()


def test_a_record_of_other_settings_is_named_in_the_error(project: Path, whole: str, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "edited")
    shutil.copytree(project / "docs/evidence/partial", copy / "docs/evidence/partial")
    edited = {**SMALL, "settings": {"mix.unit": "tokens"}}
    (copy / "docs/evidence/small.yaml").write_text(yaml.safe_dump(edited))
    output = run_command(copy, *EVIDENCE, "small", status=1)
    assert "docs/evidence/partial/small/ratio-0-seed-0.json: mix.unit: expected 'tokens'" in output


def test_records_of_two_commits_are_refused(project: Path, whole: str, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "mixed")
    shutil.copytree(project / "docs/evidence/partial", copy / "docs/evidence/partial")
    path = copy / "docs/evidence/partial/small/ratio-0-seed-0.json"
    path.write_text(json.dumps({**read_json(path), "commit": "0" * 40}))
    path.with_stem("ratio-0-seed-1").unlink()
    output = run_command(copy, *EVIDENCE, "small", status=1)
    assert "\nalloy: docs/evidence/partial/small: " in output
    assert "0" * 12 in output


def test_a_run_that_fails_is_named_and_the_others_are_kept(project: Path, whole: str, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "failing")
    broken = {**SMALL, "configurations": {"ratio 0.4": {"mix.ratio": 0.4}, "ratio 0": {"mix.ratio": 0.0}}, "seeds": [0]}
    (copy / "docs/evidence/broken.yaml").write_text(yaml.safe_dump(broken))
    output = run_command(copy, *EVIDENCE, "broken", status=1)
    assert list_records(copy, "broken") == ["ratio-0-seed-0"]
    assert output.splitlines()[-1].startswith("alloy: ratio-0.4-seed-0 failed: .dvc/tmp/evidence/broken.logs/ratio-0.4")


def test_code_that_is_not_committed_is_refused(project: Path, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "dirty")
    (copy / "params.yaml").write_text((copy / "params.yaml").read_text() + "\n# edited\n")
    assert "\nalloy: params.yaml: " in run_command(copy, *EVIDENCE, "small", status=1)


def test_missing_raw_files_are_named_at_once_in_one_line(project: Path, tmp_path: Path) -> None:
    copy = clone_project(project, tmp_path / "raw")
    for name in ("reviews", "questions"):
        (copy / f"data/{name}/raw").mkdir(parents=True)
        groups = [{"any": [[f"{name}.xml", "more.xml"], ["all.jsonl"]], "from": f"https://example.org/{name}"}]
        (copy / f"data/{name}/raw_files.yaml").write_text(yaml.safe_dump({"raw": groups}))
    declaration = {**SMALL, "settings": {"data.comments": "reviews", "data.benchmark": "questions"}}
    (copy / "docs/evidence/small.yaml").write_text(yaml.safe_dump(declaration))
    began = time.monotonic()
    output = run_command(copy, *EVIDENCE, "small", status=1)
    assert time.monotonic() - began < 100
    assert output.splitlines()[-1] == (
        "alloy: missing raw files: data/reviews/raw: reviews.xml, more.xml (https://example.org/reviews) | "
        "data/questions/raw: questions.xml, more.xml (https://example.org/questions)"
    )


def test_a_run_of_another_folder_becomes_a_record(project: Path, whole: str, tmp_path: Path) -> None:
    copy, cluster_copy = clone_project(project, tmp_path / "taking"), clone_project(project, tmp_path / "cluster")
    params = cluster_copy / "params.yaml"
    params.write_text(params.read_text().replace("ratio: 0.0 ", "ratio: 0.25 ").replace("\nseed: 0", "\nseed: 1"))
    run_command(cluster_copy, "dvc", "repro", "compare")
    take = (*EVIDENCE, "small", "--take", str(cluster_copy), "--commit", "HEAD", "--seeds", "1")
    output = run_command(copy, *take, "--only", "ratio 0", status=1)
    assert re.search(rf"{re.escape(str(cluster_copy))}: mix\.ratio: .*\b0\.0\b.*\b0\.25\b", output)
    run_command(copy, *take, "--only", "ratio 0.25")
    name = "ratio-0.25-seed-1"
    assert list_records(copy) == [name]
    paths = (folder / f"docs/evidence/partial/small/{name}.json" for folder in (copy, project))
    record, expected = ({key: value for key, value in read_json(path).items() if key != "seconds"} for path in paths)
    assert record == expected
