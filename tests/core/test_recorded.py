"""DVC records only inputs that a stage has read: with `dvc repro`, editing an input during a stage is an error."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from alloy.core.dvc import MAX_HASHED_BYTES, read_stage_entry
from projects import copy_code, make_environment, start_history

pytestmark = pytest.mark.slow

PARAMS = {"profile": "small", "data": {"comments": "mine"}, "mix": {"ratio": 0.1, "unit": "examples"}, "seed": 0}
PROFILE = {"train": {"lr": 1.0e-4}, "infer": {"limit": 3}}
STAGE = {
    "cmd": "python -m stages.slow",
    "deps": ["data/${data.comments}", "stages/slow.py"],
    "params": ["mix.ratio", "seed", {"profiles/${profile}.yaml": ["train"]}],
    "outs": ["out.txt"],
    "metrics": [{"metrics/slow.json": {"cache": False}}],
}
STAGE_CODE = """
import time
from pathlib import Path
from alloy.core.stage import run

def main():
    Path("running").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    Path("out.txt").write_text("made")
    Path("metrics/slow.json").write_text("{}")

run(main)
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """Make a repository with one stage, which waits for a file `go`."""
    copy_code(tmp_path)
    for folder in ("data/mine", "profiles", "metrics"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "stages/slow.py").write_text(STAGE_CODE)
    (tmp_path / "data/mine/comments.jsonl").write_text("{}\n")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (tmp_path / "profiles/small.yaml").write_text(yaml.safe_dump(PROFILE))
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"slow": STAGE}}))
    start_history(tmp_path)
    subprocess.run(["dvc", "init", "-q"], cwd=tmp_path, env=make_environment(), check=True)
    return tmp_path


def edit_file(file: str, **values: object):
    """Return a function that writes other values to a YAML file."""

    def write(project: Path) -> None:
        content = yaml.safe_load((project / file).read_text())
        (project / file).write_text(yaml.safe_dump({**content, **values}))

    return write


def append_text(file: str, text: str = ""):
    """Return a function that appends to a file; without text, it only rewrites the file."""
    return lambda project: (project / file).write_text((project / file).read_text() + text)


def compile_project(project: Path) -> None:
    """Write a bytecode cache, as Python does next to code in a data folder."""
    (project / "data/mine/__pycache__").mkdir()
    (project / "data/mine/__pycache__/utils.cpython-311.pyc").write_bytes(b"\0")


def run_repro(project: Path, edit_input) -> tuple[int, str]:
    """Run the pipeline, call `edit_input` while its stage runs, and return its exit status and output."""
    for name in ("running", "go"):
        (project / name).unlink(missing_ok=True)
    command = ["dvc", "repro"]
    with subprocess.Popen(
        command, cwd=project, env=make_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        end = time.monotonic() + 60
        while not (project / "running").exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        edit_input(project)
        (project / "go").touch()
        output, _ = process.communicate(timeout=300)
    return process.returncode, output


@pytest.mark.parametrize(
    ("edit_input", "location"),
    [
        (edit_file("params.yaml", mix={"ratio": 0.2, "unit": "examples"}), "params.yaml: mix.ratio "),
        (edit_file("params.yaml", seed=1), "params.yaml: seed "),
        (edit_file("params.yaml", profile="large"), "params.yaml: profile "),
        (edit_file("params.yaml", data={"comments": "others"}), "params.yaml: data "),
        (edit_file("profiles/small.yaml", train={"lr": 2.0e-4}), "profiles/small.yaml: train "),
        (append_text("params.yaml", "mix: ["), "params.yaml: data "),
        (append_text("data/mine/comments.jsonl", "{}\n"), "data/mine/comments.jsonl: "),
        (append_text("stages/slow.py", "# other\n"), "stages/slow.py: "),
        (lambda project: (project / "data/mine/more.jsonl").write_text("{}\n"), "data/mine/more.jsonl: "),
        (lambda project: (project / "profiles/small.yaml").unlink(), "profiles/small.yaml: train "),
    ],
    ids=[
        "a nested key",
        "a top-level key",
        "profile",
        "data",
        "a section of the profile",
        "a half-saved file",
        "a data file",
        "code",
        "a new data file",
        "a deleted profile",
    ],
)
def test_an_edit_of_an_input_ends_the_stage_and_nothing_is_recorded(project, edit_input, location):
    status, output = run_repro(project, edit_input)
    assert status != 0
    assert f"slow: {location}changed while this stage ran" in output
    assert not (project / "dvc.lock").exists()


def test_after_an_edit_the_stage_runs_again_with_the_edited_input(project):
    run_repro(project, edit_file("params.yaml", seed=1))
    status, output = run_repro(project, lambda _: None)
    assert status == 0, output
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    assert lock["stages"]["slow"]["params"]["params.yaml"]["seed"] == 1


@pytest.mark.parametrize(
    "edit_input",
    [
        edit_file("params.yaml", mix={"ratio": 0.1, "unit": "tokens"}, other=1),
        edit_file("profiles/small.yaml", infer={"limit": 4}),
        append_text("stages/slow.py"),
        append_text("stages/mix.py", "# not a dependency\n"),
        compile_project,
    ],
    ids=["other params", "other sections", "unchanged code", "other code", "a bytecode cache"],
)
def test_an_edit_of_another_file_or_key_does_not_end_the_stage(project, edit_input):
    status, output = run_repro(project, edit_input)
    assert status == 0, output
    assert (project / "dvc.lock").exists()


def test_a_change_of_a_large_file_is_seen_by_its_modification_time(project):
    large = project / "data/mine/comments.jsonl"
    large.write_bytes(b"{}\n" * (MAX_HASHED_BYTES // 3 + 1))
    status, output = run_repro(project, lambda _: os.utime(large, (1, 1)))
    assert status != 0
    assert "slow: data/mine/comments.jsonl: " in output


def test_partial_files_of_a_killed_run_are_removed(project):
    for name in (".out.txt.99.part", "metrics/.slow.json.98.part", "data/mine/.other.97.part"):
        (project / name).write_text("half")
    (project / ".out.txt.96.part").mkdir()
    status, output = run_repro(project, lambda _: None)
    assert status == 0, output
    assert [path.name for path in project.rglob("*.part")] == [".other.97.part"]


def test_the_entry_of_a_stage_has_its_params_filled_in(project, monkeypatch):
    monkeypatch.chdir(project)
    assert read_stage_entry("slow")["deps"] == ["data/mine", "stages/slow.py"]
    assert read_stage_entry("slow")["params"][2] == {"profiles/small.yaml": ["train"]}
    assert read_stage_entry("nothere") == {}
