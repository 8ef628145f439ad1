"""Commands with invalid arguments end with an error of one line, and write nothing."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from projects import make_environment

ROOT = Path(__file__).parents[2]


def run_failing_command(folder: Path, module: str, *words: str) -> list[str]:
    """Run a command that must fail; return the lines of its error output."""
    env = make_environment(PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", module, *words]
    result = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False, timeout=300)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["infer", "score", "mmlu", "ifeval", "general"])
@pytest.mark.parametrize("words", [(), ("base", "tuned")])
def test_a_stage_needs_the_name_of_one_model(tmp_path, stage, words):
    (line,) = run_failing_command(tmp_path, f"stages.{stage}", *words)
    assert line.startswith(f"{stage}: ")
    assert f"stages.{stage} tuned" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "models"),
    [("general", ("base", "tuned")), ("infer", ("base", "tuned")), ("score", ("base", "tuned", "svm"))],
)
def test_a_model_that_is_not_in_dvc_yaml_is_an_error_with_the_known_ones(tmp_path, stage, models):
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (tmp_path / "params.yaml").write_text("{}\n")
    (line,) = run_failing_command(tmp_path, f"stages.{stage}", "nothere")
    assert line.startswith(f"{stage}: ")
    assert "'nothere'" in line
    assert all(model in line for model in models)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "params.yaml"]


def test_a_path_that_cannot_be_written_is_named_in_the_error(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    (line,) = run_failing_command(tmp_path, "alloy", "nova", "recipe", "write", "file/recipe.yaml")
    assert line.startswith("alloy: file")
    (tmp_path / "folder/recipe.yaml").mkdir(parents=True)
    (line,) = run_failing_command(tmp_path, "alloy", "nova", "recipe", "write", "folder/recipe.yaml")
    assert line.startswith("alloy: folder/recipe.yaml")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "folder"])
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["recipe.yaml"]


@pytest.mark.slow
def test_a_command_ends_quietly_if_the_reader_closes_its_output(tmp_path):
    code = "import time; from alloy.core.stage import run; run(lambda: print('x') or time.sleep(1) or print('y'))"
    command = f"{sys.executable} -c {shlex.quote(code)} | head -c 0; exit ${{PIPESTATUS[0]}}"
    env = make_environment(PYTHONPATH=str(ROOT))
    result = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (141, b"", b"")
