"""A lock file that does not belong to the code is reported, also on a machine without the data."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.commands.check_lock import require_up_to_date
from alloy.core.files import InputError
from repositories import clone_repository, make_finished_repository, read_output, run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    return make_finished_repository(tmp_path_factory.mktemp("origin") / "project")


@pytest.fixture
def bare(origin, tmp_path):
    """A clone without data, as on a CI machine."""
    return clone_repository(origin, tmp_path / "bare")


def read_lock(folder):
    return run_command(folder, sys.executable, "-m", "alloy", "check", "lock", check=False)


def test_a_lock_that_is_up_to_date_needs_no_data(bare):
    result = read_lock(bare)
    assert (result.returncode, result.stdout) == (0, "lock: up to date\n")


def test_the_environment_does_not_have_to_be_active(bare):
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-m", "alloy", "check", "lock"],
        cwd=bare,
        env={**os.environ, "PATH": os.defpath, "PYTHONPATH": str(root)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "lock: up to date\n"), result.stderr


@pytest.mark.parametrize(("words", "stage"), [("echo vocabulary", "model"), ("cat model/vocabulary", "answers")])
def test_a_stage_whose_command_changed_is_named_with_the_fix(bare, words, stage):
    file = bare / "dvc.yaml"
    file.write_text(file.read_text().replace(words, words.replace(" ", "  ", 1)))
    result = read_lock(bare)
    assert result.returncode == 1
    assert result.stderr.startswith("alloy: dvc.lock: ")
    assert f"'{stage}'" in result.stderr
    assert "`dvc repro`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_stage_that_read_other_outputs_of_a_folder_is_named_without_data(origin, tmp_path):
    copy = clone_repository(origin, tmp_path / "copy")
    (copy / "dvc.lock").unlink()
    (copy / ".dvcignore").write_text(".gitignore\n")
    (copy / "dvc.yaml").write_text(
        "stages:\n  one:\n    cmd: mkdir -p all && echo 1 > all/one\n    outs: [all/one]\n"
        "  two:\n    cmd: cat all/one all/one > two\n    deps: [all]\n    outs: [two]\n"
    )
    read_output(copy, "dvc", "repro", "-q")
    assert read_lock(copy).stdout == "lock: up to date\n"
    text = (copy / "dvc.lock").read_text()
    digest = hashlib.md5(b"1\n", usedforsecurity=False).hexdigest()
    assert text.count(digest) == 1
    (copy / "dvc.lock").write_text(text.replace(digest, hashlib.md5(b"2\n", usedforsecurity=False).hexdigest()))
    shutil.rmtree(copy / "all")
    (copy / "two").unlink()
    result = read_lock(copy)
    assert result.returncode == 1
    assert "'two'" in result.stderr


def test_with_the_data_each_stage_that_would_run_is_named_in_the_error(origin, tmp_path):
    copy = clone_repository(origin, tmp_path / "copy")
    read_output(copy, "dvc", "repro", "--force", "-q")
    (copy / "dvc.lock").unlink()
    assert "'model', 'answers'" in read_lock(copy).stderr


def test_a_pipeline_that_dvc_cannot_read_is_an_error_with_its_name(bare):
    (bare / "dvc.yaml").write_text("stages: {")
    result = read_lock(bare)
    assert result.returncode == 1
    assert "dvc.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_stages_to_run_are_read_from_the_output_of_dvc():
    require_up_to_date(0, "Stage 'mix' didn't change, skipping\nData and pipelines are up to date.\n")
    with pytest.raises(InputError, match="'mix', 'train'"):
        require_up_to_date(0, "Running stage 'mix':\n> python -m stages.mix\n\nRunning stage 'train':\n")
    with pytest.raises(InputError, match="'mix'"):
        require_up_to_date(255, "ERROR: failed to reproduce 'mix': [Errno 2] No such file or directory: '/x'\n")
    with pytest.raises(InputError, match=r": something else$"):
        require_up_to_date(255, "ERROR: something else\n")
