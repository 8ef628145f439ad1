"""Files that a killed DVC process leaves damaged are repaired: real DVC fails before the repair and works after it."""

import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError
from repositories import corrupt_file, make_finished_repository, read_output, run_command

pytestmark = pytest.mark.slow


def empty_rwlock(folder: Path) -> None:
    (folder / ".dvc/tmp/rwlock").write_text("")


def cut_rwlock(folder: Path) -> None:
    (folder / ".dvc/tmp/rwlock").write_text('{"read": {"/some/file')


def empty_run_cache_folder(folder: Path) -> None:
    (entry,) = find_run_cache_entries(folder, "answers")
    entry.unlink()
    (folder / "dvc.lock").unlink()


def cut_lock(folder: Path) -> None:
    text = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(text[: text.index("md5:") + 2])


def remove_stages_from_lock(folder: Path) -> None:
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: [1]\n")


def empty_lock(folder: Path) -> None:
    (folder / "dvc.lock").write_text("")


def use_pid_of_another_process(folder: Path) -> None:
    info = {"pid": 1, "cmd": "dvc repro"}
    locks = {str(folder / name): info for name in ("answers", "model")}
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps({"write": locks, "read": {}}))
    (folder / "dvc.lock").unlink()


def misspell_rwlock(folder: Path) -> None:
    (folder / ".dvc/tmp/rwlock").write_text('{"read": {}, "writf": {}}')
    (folder / "dvc.lock").unlink()


def garble_run_cache_entry(folder: Path) -> None:
    (entry,) = find_run_cache_entries(folder, "answers")
    entry.write_bytes(b"\xff\xfe\x00\x80")
    (folder / "dvc.lock").unlink()


def cut_run_cache_entry(folder: Path) -> None:
    (entry,) = find_run_cache_entries(folder, "answers")
    entry.write_text(entry.read_text().partition("outs:")[0])
    (folder / "dvc.lock").unlink()


def replace_run_cache_folder_by_file(folder: Path) -> None:
    (entry,) = find_run_cache_entries(folder, "answers")
    entry.unlink()
    entry.parent.rmdir()
    entry.parent.write_text("")
    (folder / "dvc.lock").unlink()


def rename_hash(folder: Path) -> None:
    text = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").write_text(text.replace("hash: md5", "hash: md4", 1))


def repeat_key(folder: Path) -> None:
    (folder / "dvc.lock").write_text((folder / "dvc.lock").read_text() + "schema: '2.0'\n")


def find_run_cache_entries(folder: Path, output: str) -> list[Path]:
    """Return the entries of the run cache for the stage whose command writes `output`."""
    return [file for file in (folder / ".dvc/cache/runs").glob("*/*/*") if f"> {output}\n" in file.read_text()]


@pytest.fixture
def project(tmp_path) -> Path:
    return make_finished_repository(tmp_path / "project")


@pytest.mark.parametrize(
    ("damage", "location"),
    [
        (empty_rwlock, ".dvc/tmp/rwlock"),
        (cut_rwlock, ".dvc/tmp/rwlock"),
        (empty_run_cache_folder, ".dvc/cache/runs"),
        (cut_lock, "dvc.lock"),
        (remove_stages_from_lock, "dvc.lock"),
        (empty_lock, "dvc.lock"),
        (use_pid_of_another_process, ".dvc/tmp/rwlock"),
        (misspell_rwlock, ".dvc/tmp/rwlock"),
        (garble_run_cache_entry, ".dvc/cache/runs"),
        (cut_run_cache_entry, ".dvc/cache/runs"),
        (replace_run_cache_folder_by_file, ".dvc/cache/runs"),
        (rename_hash, "dvc.lock"),
        (repeat_key, "dvc.lock"),
    ],
)
def test_damage_that_makes_dvc_repro_fail_is_repaired(project, damage, location):
    damage(project)
    if damage is not empty_lock:  # DVC treats it as a project in which no stage has run
        assert run_command(project, "dvc", "repro", check=False).returncode != 0
    (line,) = repair_dvc(project)
    assert line.startswith(str(project / location))
    read_output(project, "dvc", "repro")
    assert (project / "answers").read_text() == "vocabulary\nweights\n"
    assert repair_dvc(project) == []


@pytest.mark.parametrize("output", ["answers", "model/weights"])
def test_an_empty_object_of_the_cache_is_removed_and_made_again(project, output):
    """As after a power cut: DVC would make the output from the empty object, without an error."""
    content = (project / output).read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    damaged = project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"")
    (project / output).unlink()
    (line,) = repair_dvc(project)
    assert line.startswith(f"{damaged}: ")
    read_output(project, "dvc", "repro")
    assert (project / output).read_bytes() == damaged.read_bytes() == content


@pytest.mark.parametrize("output", ["answers", "model/weights"])
def test_an_object_with_a_flipped_bit_is_removed_and_made_again(project, output):
    """As after a fault of a disk: DVC would make the output from the damaged object, without an error."""
    content = (project / output).read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    damaged = project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    corrupt_file(damaged)
    (project / output).unlink()
    read_output(project, "dvc", "checkout")
    assert (project / output).read_bytes() == damaged.read_bytes() != content
    (line,) = repair_dvc(project)
    assert line.startswith(f"{damaged}: ")
    read_output(project, "dvc", "repro")
    assert (project / output).read_bytes() == damaged.read_bytes() == content


def test_a_partial_entry_of_the_run_cache_is_removed_and_a_complete_one_is_kept(project):
    (entry,) = find_run_cache_entries(project, "answers")
    partial = entry.with_name(".9pQKJz6nCKPhMxTsAVdXyz.tmp")
    partial.write_text("cmd: cat model")
    assert len(repair_dvc(project)) == 1
    assert entry.exists()
    assert not partial.exists()


def test_nothing_is_changed_while_another_dvc_runs(project):
    empty_rwlock(project)
    with (project / ".dvc/tmp/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (line,) = repair_dvc(project)
        assert line.startswith(str(project / ".dvc/tmp"))
    assert (project / ".dvc/tmp/rwlock").read_text() == ""


def test_a_merge_conflict_in_dvc_lock_is_an_error_and_not_repaired(project):
    conflict = "<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\n"
    (project / "dvc.lock").write_text(conflict)
    with pytest.raises(InputError) as caught:
        repair_dvc(project)
    assert str(caught.value).startswith(f"{project / 'dvc.lock'}:1: ")
    assert (project / "dvc.lock").read_text() == conflict


def test_the_cache_folder_is_read_from_the_configuration(project, tmp_path):
    read_output(project, "dvc", "config", "--local", "cache.dir", str(tmp_path / "elsewhere"))
    empty = tmp_path / "elsewhere/runs/ab" / ("ab" * 32)
    empty.mkdir(parents=True)
    assert repair_dvc(project) == []  # another project may be writing there
    os.utime(empty, (0, 0))
    (line,) = repair_dvc(project)
    assert str(empty) in line
    assert not empty.exists()


def test_a_broken_configuration_does_not_stop_the_repair(project):
    empty_rwlock(project)
    (project / ".dvc/config.local").write_text("[cache\nno")
    (line,) = repair_dvc(project)
    assert line.startswith(str(project / ".dvc/tmp/rwlock"))


def test_an_intact_project_and_one_without_dvc_are_not_changed(project, tmp_path):
    assert repair_dvc(project) == []
    assert repair_dvc(tmp_path) == []


def test_the_command_prints_only_the_repaired_files(project):
    empty_rwlock(project)
    assert read_output(project, sys.executable, "-m", "alloy", "check", "--repair").startswith(".dvc/tmp/rwlock: ")
    assert read_output(project, sys.executable, "-m", "alloy", "check", "--repair") == ""
