"""A work folder whose files are damaged never blocks a run, and never costs another project its result."""

import hashlib
import shutil
from pathlib import Path

import pytest

from alloy.core.files import write_json
from alloy.runtime.durable import seal_line
from alloy.runtime.resume import METRICS, PROJECT, ROW_LOG, get_work_root, remove_finished_work, resume_or_reuse

KEY = "k" * 64
METRIC_VALUES = {"stage": {"value": 1}}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run_stage(stage: str = "stage") -> int:
    """Run a stage with one output; return how often the work was done."""
    calls = []

    def process(folder) -> None:
        calls.append(folder)
        folder.write_result(lambda part: (part.mkdir(), write_json(part / METRICS, METRIC_VALUES)))

    assert resume_or_reuse(stage, KEY, process, {METRICS: Path("out.json")}) == METRIC_VALUES
    return len(calls)


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def replace_by_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path / "inner").mkdir(parents=True)


def find_work(stage: str = "stage") -> Path:
    return get_work_root() / f"{stage}-{KEY[:16]}"


DAMAGED_NAMES = [b"\xff\xfe", b"", b"\0" * 30, b"x" * 5000, b"/gone", seal_line(b"/gone")[:-1].replace(b"/g", b"/h")]


@pytest.mark.parametrize("content", DAMAGED_NAMES)
@pytest.mark.parametrize("stage", ["stage", "other"])
def test_a_damaged_project_name_costs_no_result_and_is_written_again(project, content, stage):
    assert (run_stage(), run_stage("other")) == (1, 1)
    file = find_work(stage) / PROJECT
    intact = file.read_bytes()
    file.write_bytes(content)
    assert run_stage("third") == 1
    assert (run_stage(), run_stage("other")) == (0, 0)
    assert file.read_bytes() == intact


def test_a_project_name_that_is_intact_decides_about_the_removal(project):
    run_stage()
    remove_finished_work()
    assert find_work().exists()
    (find_work() / PROJECT).write_bytes(seal_line(b"/gone"))
    remove_finished_work(wanted=find_work())
    assert find_work().exists()
    remove_finished_work()
    assert not find_work().exists()


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_damaged_dvc_lock_keeps_the_result(project, content):
    run_stage()
    Path("dvc.lock").write_bytes(content)
    assert run_stage() == 0


def test_a_result_that_dvc_has_recorded_is_removed_even_if_dvc_lock_is_damaged(project):
    run_stage()
    recorded = hashlib.md5((find_work() / "result" / METRICS).read_bytes()).hexdigest()
    Path("dvc.lock").write_bytes(b"\xff" + recorded.encode())
    remove_finished_work()
    assert not find_work().exists()


@pytest.mark.parametrize(
    ("damage", "repeats"),
    [
        (lambda work: replace_by_file(work), 1),
        (lambda work: replace_by_file(work / "result"), 1),
        (lambda work: (shutil.rmtree(work / "result"), (work / "result.part").write_text("")), 1),
        (lambda work: (shutil.rmtree(work / "result"), (work / "checkpoint-3").write_text("")), 1),
        (lambda work: replace_by_folder(work / "result" / METRICS), 1),
        (lambda work: replace_by_folder(work / PROJECT), 0),
        (lambda work: replace_by_folder(work / ROW_LOG), 0),
        (lambda work: replace_by_file(work.parent / "locks"), 0),
        (lambda work: replace_by_folder(work.parent / "locks" / f"{work.name}.lock"), 0),
        (lambda work: replace_by_folder(work.parent / "locks" / f"{work.name}.users"), 0),
        (lambda work: [replace_by_folder(claim) for claim in (work.parent / "locks").glob("*.claim")], 0),
        (lambda work: (work.parent / "locks" / f"{work.name}.lock").write_bytes(b"\xff"), 0),
        (lambda work: replace_by_file(work.parent), 1),
    ],
)
def test_files_and_folders_in_place_of_each_other_do_not_block(project, damage, repeats):
    run_stage()
    damage(find_work())
    assert run_stage() == repeats
    assert run_stage() == 0
