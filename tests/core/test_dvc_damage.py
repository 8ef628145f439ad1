"""Damaged files of DVC are found and repaired, and intact ones are kept; DVC itself does not run here."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError

KEY, VALUE = "ab" * 32, "cd" * 32


def hash_md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def write_object(objects: Path, content: bytes, end: str = "") -> str:
    """Write an object of DVC's cache; return its hash."""
    md5 = hash_md5(content)
    file = objects / md5[:2] / f"{md5[2:]}{end}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o444)
    return f"{md5}{end}"


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with one stage, of a file and a folder, as DVC leaves it."""
    root = tmp_path / "project"
    (root / ".dvc/tmp").mkdir(parents=True)
    (root / ".dvc/tmp/rwlock").write_text("{}")
    objects = root / ".dvc/cache/files/md5"
    file = write_object(objects, b"answers")
    parts = [{"md5": write_object(objects, part), "relpath": part.decode()} for part in (b"one", b"three")]
    parts.append({"md5": write_object(objects, b""), "relpath": "empty"})
    folder = write_object(objects, json.dumps(parts).encode(), ".dir")
    run = (
        "cmd: run\ndeps:\n- path: in\n  hash: md5\n  md5: 0cc175b9c0f1b6a831c399e269772661\n  size: 1\nouts:\n"
        f"- path: answers\n  hash: md5\n  md5: {file}\n  size: 7\n"
        f"- path: model\n  hash: md5\n  md5: {folder}\n  size: 8\n  nfiles: 3\n"
    )
    entry = root / ".dvc/cache/runs" / KEY[:2] / KEY / VALUE
    entry.parent.mkdir(parents=True)
    entry.write_text(run)
    (root / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  stage:\n    {run.replace(chr(10), chr(10) + '    ')}\n")
    return root


def find_entry(project: Path) -> Path:
    return project / ".dvc/cache/runs" / KEY[:2] / KEY / VALUE


def find_object(project: Path, content: bytes) -> Path:
    md5 = hash_md5(content)
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def replace_bytes(file: Path, content: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(content)


def replace_by_folder(file: Path) -> None:
    file.unlink()
    (file / "inner").mkdir(parents=True)


def flip_bit(file: Path) -> None:
    replace_bytes(file, bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])


def replace_by_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def replace_by_file(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    folder.write_text("")


def test_an_intact_project_is_not_changed(project):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert repair_dvc(project) == []
    assert {path: path.read_bytes() for path in before} == before


# Locks


@pytest.mark.parametrize(
    "content",
    [
        b'{"read": {}, "writf": {}}',
        b'{"wrote": {}}',
        b'{"write": {}, "read": {"/x": {"pid": 1}}}',
        b'{"write": {"/x": []}}',
        b"[]",
        b"\0" * 64,
        b'{"read": {"\xff": []}}',
        b"[" * 100_000,
    ],
)
def test_locks_that_dvc_cannot_read_are_removed(project, content):
    file = project / ".dvc/tmp/rwlock"
    file.write_bytes(content)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")
    assert not file.exists()


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("no/such/path")


def link_to_a_folder(path: Path) -> None:
    kept = path.with_name("kept")
    (kept / "inner").mkdir(parents=True)
    path.symlink_to(kept)


@pytest.mark.parametrize("name", ["rwlock", "lock", "rwlock.lock"])
@pytest.mark.parametrize(
    "make",
    [lambda path: (path / "inner").mkdir(parents=True), os.mkfifo, link_to_itself, link_to_nowhere, link_to_a_folder],
)
def test_what_is_in_place_of_a_lock_file_is_removed(project, name, make):
    file = project / ".dvc/tmp" / name
    file.unlink(missing_ok=True)
    make(file)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")
    assert file.is_file() or not os.path.lexists(file)
    assert file.with_name("kept").is_dir() or make is not link_to_a_folder
    assert repair_dvc(project) == []


def run_process(*words: str) -> "subprocess.Popen[bytes]":
    """Start a process that waits, with `words` in its command line."""
    return subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE)


@pytest.mark.parametrize(
    ("words", "seconds", "is_kept"),
    [
        (["dvc", "repro"], 0, True),
        (["/somewhere/bin/dvc"], 0, True),
        (["-m", "alloy"], 0, True),
        (["other"], 0, False),
        (["/home/alloy/dvc/other"], 0, False),
        (["dvc", "repro"], -3600, False),
    ],
)
def test_only_locks_of_a_running_dvc_that_is_older_than_the_file_are_kept(project, words, seconds, is_kept):
    file = project / ".dvc/tmp/rwlock"
    with run_process(*words) as process:
        info = {"pid": process.pid, "cmd": "dvc repro"}
        ended = {"pid": 2**40, "cmd": "dvc repro"}
        file.write_text(json.dumps({"write": {"/a": info, "/b": ended}, "read": {"/c": [info, ended], "/d": [ended]}}))
        moment = file.stat().st_mtime + seconds
        os.utime(file, (moment, moment))
        (line,) = repair_dvc(project)
        process.communicate(b"\n")
    assert line.startswith(f"{file}: ")
    kept = {"write": {"/a": info}, "read": {"/c": [info]}} if is_kept else {"write": {}, "read": {}}
    assert json.loads(file.read_text()) == kept


# Run cache


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.write_bytes(b"\xff\xfe\x00\x80"),
        lambda entry: entry.write_bytes(b""),
        lambda entry: entry.write_bytes(b"\0" * 50),
        lambda entry: entry.write_bytes(b"- a\n"),
        lambda entry: entry.write_bytes(entry.read_bytes().partition(b"outs:")[0]),
        lambda entry: entry.write_bytes(entry.read_bytes().partition(b"answers")[0] + b"answers\n"),
        lambda entry: entry.write_bytes(entry.read_bytes().replace(b"hash: md5", b"hash: md4", 1)),
        lambda entry: entry.write_bytes(entry.read_bytes().replace(b"size: 1", b"size: !!bool x", 1)),
        lambda entry: entry.write_bytes(entry.read_bytes().replace(b"size: 1", b"size: " + b"1" * 5000, 1)),
        replace_by_folder,
        lambda entry: entry.rename(entry.with_name("half.tmp")),
        lambda entry: replace_by_file(entry.parent),
        lambda entry: replace_by_file(entry.parents[1]),
        lambda entry: replace_by_file(entry.parents[2]),
    ],
)
def test_a_damaged_entry_of_the_run_cache_is_removed_with_its_folder(project, damage):
    entry = find_entry(project)
    damage(entry)
    (line,) = repair_dvc(project)
    assert line.startswith(str(project / ".dvc/cache/runs"))
    assert not entry.parent.exists()
    assert repair_dvc(project) == []


def test_an_intact_entry_beside_a_damaged_one_is_kept(project):
    entry = find_entry(project)
    damaged = entry.with_name("e" * 64)
    damaged.write_bytes(b"\xff")
    (line,) = repair_dvc(project)
    assert line.startswith(f"{entry.parent}: ")
    assert list(entry.parent.iterdir()) == [entry]


@pytest.mark.parametrize("make", [os.mkfifo, link_to_itself])
@pytest.mark.parametrize("parent", [0, 1, 2])
def test_a_pipe_or_a_loop_of_links_in_the_run_cache_is_removed(project, make, parent):
    folder = find_entry(project).parents[parent]
    shutil.rmtree(folder)
    make(folder)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{folder}: ")
    assert not os.path.lexists(folder)
    assert repair_dvc(project) == []


@pytest.mark.parametrize("name", [".dvc/cache", ".dvc/cache/runs"])
def test_a_cache_on_another_disk_is_kept_if_mounted_or_not(project, tmp_path, name):
    cache, disk = project / name, tmp_path / "disk"
    cache.rename(disk)
    cache.symlink_to(disk)
    assert repair_dvc(project) == []
    assert find_entry(project).is_file()
    disk.rename(tmp_path / "not mounted")
    assert repair_dvc(project) == []
    assert cache.is_symlink()


def test_a_cache_that_links_to_itself_is_left_to_dvc(project):
    shutil.rmtree(project / ".dvc/cache")
    link_to_itself(project / ".dvc/cache")
    assert repair_dvc(project) == []


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_a_nul_byte_in_the_path_of_the_cache_is_an_error(project, name):
    (project / ".dvc" / name).write_text("[cache]\n    dir = /a\0b\n")
    with pytest.raises(InputError) as caught:
        repair_dvc(project)
    assert str(caught.value).startswith(f"{project / '.dvc' / name}: ")


# dvc.lock


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"hash: md5", b"hash: md4", 1),
        lambda content: content + b"schema: '2.0'\n",
        lambda content: content.replace(b"size: 7", b"size: !!bool x", 1),
        lambda content: content.replace(b"size: 7", b"size: " + b"1" * 5000, 1),
        lambda content: content.replace(b"path: answers", b"path: \xff\xfe"),
        lambda content: content.replace(b"'2.0'", b"'3.0'"),
        lambda _: b"\0" * 100,
        lambda _: None,
    ],
)
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_damaged_dvc_lock_is_restored_from_git_or_removed(project, change, is_committed):
    file = project / "dvc.lock"
    intact = file.read_bytes()
    damaged = change(intact)
    if not is_committed and damaged:  # git has the same damage, as after a wrong merge
        file.write_bytes(damaged)
    for words in (["init", "-q"], ["add", "dvc.lock"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qma"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    if damaged is None:
        replace_by_folder(file)
    else:
        file.write_bytes(damaged)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")
    if is_committed or damaged is None:
        assert file.read_bytes() == intact
    else:
        assert not file.exists()
    assert repair_dvc(project) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("md5: 0cc175b9c0f1b6a831c399e269772661", "etag: 0cc175b9"),  # a dependency in a bucket
        ("  md5: 0cc175b9c0f1b6a831c399e269772661\n", "\n"),  # a dependency that was missing
        ("      hash: md5\n", ""),  # as DVC 2 wrote it
        ("schema:", "datasets: []\nschema:"),
    ],
)
def test_unusual_entries_of_dvc_lock_are_kept(project, old, new):
    file = project / "dvc.lock"
    file.write_text(file.read_text().replace(old, new, 1))
    assert repair_dvc(project) == []


# Objects


@pytest.mark.parametrize("content", [b"answers", b"one", b"three"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: replace_bytes(file, b""),
        lambda file: replace_bytes(file, b"an"),
        flip_bit,
        replace_by_folder,
        replace_by_pipe,
    ],
)
def test_a_damaged_object_is_removed_and_intact_ones_are_kept(project, content, damage):
    damaged = find_object(project, content)
    kept = {path for path in project.rglob(".dvc/cache/**/*") if path.is_file()} - {damaged}
    damage(damaged)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{damaged}: ")
    assert not damaged.exists()
    assert {path for path in project.rglob(".dvc/cache/**/*") if path.is_file()} == kept
    assert repair_dvc(project) == []


@pytest.mark.parametrize(
    "content", [b"", b"[", b"\xff\xfe", b"[1]", b'[{"md5": "x", "relpath": "one"}]', b'[{"md5": 5}]']
)
def test_a_damaged_list_of_a_folder_is_removed(project, content):
    (file,) = project.rglob("*.dir")
    replace_bytes(file, content)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "limit", "removed"),
    [
        ("MAX_HASHED_OBJECT", 4, {b"one"}),
        ("MAX_HASHED_OBJECT", 7, {b"answers", b"one", b"three"}),
        ("MAX_HASHED", 11, {b"answers", b"one"}),
        ("MAX_HASHED", 9, {b"answers"}),
    ],
)
def test_objects_of_the_right_size_are_hashed_up_to_two_limits(project, monkeypatch, name, limit, removed):
    monkeypatch.setattr(f"alloy.core.dvc_cache.{name}", limit)
    files = {content: find_object(project, content) for content in (b"answers", b"one", b"three")}
    for file in files.values():
        flip_bit(file)
    assert len(repair_dvc(project)) == len(removed)
    assert {content for content, file in files.items() if not file.exists()} == removed


def test_a_pipe_in_place_of_the_list_of_a_folder_is_removed(project):
    (file,) = project.rglob("*.dir")
    replace_by_pipe(file)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")


@pytest.mark.parametrize("make", [os.mkfifo, link_to_itself, link_to_nowhere])
def test_what_is_in_place_of_dvc_lock_is_removed(project, make):
    file = project / "dvc.lock"
    file.unlink()
    make(file)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file}: ")
    assert not os.path.lexists(file)


@pytest.mark.parametrize(("old", "new"), [("size: 7", "size: 8"), ("size: 8", "size: 9"), ("size: 7", "isexec: true")])
def test_an_intact_object_is_kept_if_its_size_in_dvc_lock_is_wrong_or_missing(project, old, new):
    lock = project / "dvc.lock"
    lock.write_text(lock.read_text().replace(old, new))
    assert repair_dvc(project) == []


def test_objects_that_are_not_in_the_cache_are_no_damage(project):
    find_object(project, b"one").unlink()
    assert repair_dvc(project) == []
