"""Damaged databases of DVC's state are removed, and intact, empty and locked ones are kept."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from dvc.repo import Repo

from alloy.core.dvc_repair import repair_dvc
from alloy.core.dvc_state import find_state_folder, repair_state
from repositories import make_finished_repository, read_output, run_command

DATABASES = ["hashes/local/cache.db", "links/cache.db", "index/0ad8/cache.db", "index/data/db.db"]
PAGE = 4096


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of DVC without git, whose databases are below `tmp_path`."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    (tmp_path / "project/.dvc/tmp").mkdir(parents=True)
    (tmp_path / "project/.dvc/config").write_text("[core]\n    no_scm = true\n")
    return tmp_path / "project"


@pytest.fixture
def databases(project) -> list[Path]:
    files = [find_state_folder(project) / name for name in DATABASES]
    for file in files:
        file.parent.mkdir(parents=True)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("CREATE TABLE Cache (key TEXT PRIMARY KEY, value TEXT)")
            database.executemany("INSERT INTO Cache VALUES (?, ?)", [(f"/{n}", "x" * 90) for n in range(999)])
    return files


def fill(file: Path, start: int, content: bytes) -> None:
    data = bytearray(file.read_bytes())
    data[start : start + len(content)] = content
    file.write_bytes(data)


@pytest.mark.parametrize("index", range(len(DATABASES)))
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"no database" * 1000),
        lambda file: fill(file, 0, bytes(PAGE)),
        lambda file: fill(file, 5 * PAGE, bytes(PAGE)),
        lambda file: fill(file, 47, b"\xff"),  # the version of the format
        lambda file: os.truncate(file, 3 * PAGE),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_the_folder_of_a_damaged_database_is_removed(project, databases, index, damage):
    file = databases.pop(index)
    damage(file)
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file.parent}: ")
    assert not file.parent.exists()
    assert all(map(Path.is_file, databases))
    assert repair_dvc(project) == []


def test_intact_empty_and_locked_databases_are_kept(project, databases, monkeypatch):
    monkeypatch.setattr("alloy.core.dvc_state.WAIT_SECONDS", 0.0)
    databases[0].write_bytes(b"")
    with closing(sqlite3.connect(databases[1])) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert repair_state(project) == []
    assert all(map(Path.is_file, databases))


@pytest.mark.parametrize(
    ("name", "folder"), [(None, None), ("config", "elsewhere"), ("config.local", "elsewhere"), ("config", "env")]
)
def test_the_folder_is_the_one_of_dvc(project, tmp_path, monkeypatch, name, folder):
    if folder != "env":
        monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    if name:
        content = f"[core]\n    no_scm = true\n    site_cache_dir = {tmp_path / 'elsewhere'}\n"
        (project / ".dvc" / name).write_text(content)
    monkeypatch.chdir(project)
    found = find_state_folder(Path())
    with Repo() as repo:
        assert str(found) == repo.site_cache_dir
    parent = {None: Path("/var/tmp/dvc"), "elsewhere": tmp_path / "elsewhere", "env": tmp_path / "site"}[folder]
    assert found.parent == parent / "repo"
    (tmp_path / "link").symlink_to(project)
    assert find_state_folder(tmp_path / "link") == found


@pytest.mark.parametrize("config", ["[core\nno", "[core]\n    unknown = 1\n", "[core]\n    site_cache_dir = /a\0b\n"])
def test_a_broken_configuration_is_left_to_dvc(project, monkeypatch, config):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    (project / ".dvc/config").write_text(config)
    assert repair_state(project) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", DATABASES[:2])
@pytest.mark.parametrize("content", [b"no database" * 1000, None])
def test_dvc_repro_fails_before_the_repair_and_works_after_it(tmp_path, monkeypatch, name, content):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    project = make_finished_repository(tmp_path / "project")
    (file,) = (tmp_path / "site/repo").glob(f"*/{name}")
    if content is None:
        fill(file, PAGE, b"\xff" * 3 * PAGE)
    else:
        file.write_bytes(content)
    (project / "answers").unlink()
    assert run_command(project, "dvc", "repro", check=False).returncode != 0
    (line,) = repair_dvc(project)
    assert line.startswith(f"{file.parent}: ")
    read_output(project, "dvc", "repro")
    assert (project / "answers").read_text() == "vocabulary\nweights\n"
    assert repair_dvc(project) == []
