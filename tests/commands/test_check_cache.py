"""All files of the cache are read: corrupt ones are found and removed, then fetched or created again."""

import sys
from pathlib import Path

import pytest

from alloy.commands.check_cache import find_corrupt_files, is_intact, list_cached_files
from repositories import clone_repository, corrupt_file, make_finished_repository, read_output, run_command

pytestmark = pytest.mark.slow

WHOLE = "vocabulary\nweights\n"


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A project whose outputs are in a shared folder."""
    folder = make_finished_repository(tmp_path_factory.mktemp("origin") / "project")
    read_output(folder, "dvc", "remote", "add", "-d", "storage", str(folder.parent / "shared"))
    read_output(folder, "git", "commit", "-qam", "storage")
    read_output(folder, "dvc", "push")
    return folder


@pytest.fixture
def copy(origin, tmp_path) -> Path:
    return clone_repository(origin, tmp_path / "copy")


def check_cache(folder: Path):
    return run_command(folder, sys.executable, "-m", "alloy", "check", "cache", check=False)


def find_cached(folder: Path, content: str) -> Path:
    """Return the cached file that has `content`."""
    return next(file for file in list_cached_files(folder / ".dvc/cache") if file.read_text() == content)


def test_an_intact_cache_passes(copy):
    read_output(copy, "dvc", "pull")
    result = check_cache(copy)
    assert (result.returncode, result.stdout) == (0, "cache: 4 files, all intact\n")


def test_a_cache_that_is_empty_is_intact(copy):
    assert check_cache(copy).stdout == "cache: 0 files, all intact\n"


def test_dvc_itself_does_not_notice_a_corrupt_read_only_file(copy):
    read_output(copy, "dvc", "fetch")
    corrupt_file(find_cached(copy, WHOLE))
    read_output(copy, "dvc", "pull")
    assert (copy / "answers").read_text() != WHOLE
    assert "up to date" in read_output(copy, "dvc", "status")


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_a_corrupt_file_is_removed_and_fetched_again_with_its_outputs(copy, link):
    read_output(copy, "dvc", "config", "cache.type", link)
    read_output(copy, "dvc", "fetch")
    weights = find_cached(copy, "weights\n")
    corrupt_file(weights)
    read_output(copy, "dvc", "checkout")
    result = check_cache(copy)
    assert result.returncode == 1
    assert result.stderr.startswith(f"alloy: {weights.relative_to(copy)}: ")
    assert len(result.stderr.splitlines()) == 1
    assert not weights.exists()
    read_output(copy, "dvc", "pull", "--force")
    assert (copy / "model/weights").read_text() == "weights\n"
    assert check_cache(copy).returncode == 0


@pytest.mark.parametrize("link", ["copy", "symlink"])
def test_without_a_remote_the_stage_makes_the_file_again(copy, link):
    read_output(copy, "dvc", "config", "cache.type", link)
    read_output(copy, "dvc", "pull")
    read_output(copy, "dvc", "remote", "remove", "storage")
    corrupt_file(find_cached(copy, "weights\n"))
    assert check_cache(copy).returncode == 1
    assert "Running stage 'model'" in read_output(copy, "dvc", "repro")
    assert (copy / "model/weights").read_text() == "weights\n"
    assert check_cache(copy).returncode == 0


def test_the_list_of_a_folder_is_checked(copy):
    read_output(copy, "dvc", "pull")
    corrupt_file(next(file for file in list_cached_files(copy / ".dvc/cache") if file.suffix == ".dir"))
    assert ".dir: " in check_cache(copy).stderr
    read_output(copy, "dvc", "pull", "--force")
    assert check_cache(copy).returncode == 0


def test_a_cache_in_another_folder_is_found(copy, tmp_path):
    read_output(copy, "dvc", "cache", "dir", str(tmp_path / "elsewhere"))
    read_output(copy, "dvc", "pull")
    assert check_cache(copy).stdout == "cache: 4 files, all intact\n"


def test_temporary_files_of_dvc_are_ignored(tmp_path):
    folder = tmp_path / "files/md5/90"
    folder.mkdir(parents=True)
    whole = folder / "0150983cd24fb0d6963f7d28e17f72"  # with its folder, the MD5 sum of "abc"
    whole.write_text("abc")
    (folder / ".xyz.tmp").write_text("half")
    assert list(list_cached_files(tmp_path)) == [whole]
    assert is_intact(whole)
    assert find_corrupt_files([whole], workers=2) == []
    whole.write_text("abd")
    assert find_corrupt_files([whole], workers=2) == [whole]
