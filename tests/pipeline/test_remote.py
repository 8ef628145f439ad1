"""DVC remotes as the documentation describes them: S3, SSH and shared folders, with intact and corrupt files."""

import shutil
from pathlib import Path

import pytest

import ssh_server
from repositories import clone_repository, commit_all, corrupt_file, make_finished_repository, read_output, run_command
from s3_server import serve_bucket

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bucket():
    with serve_bucket("alloy") as bucket:
        yield bucket


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    return make_finished_repository(tmp_path_factory.mktemp("origin") / "project")


@pytest.fixture
def project(origin, tmp_path):
    """A finished project of the test's own, with its cache."""
    return Path(shutil.copytree(origin, tmp_path / "project"))


def name_storage(project: Path, url: str, **settings: str) -> None:
    """Make `url` the project's storage, for all who clone it."""
    read_output(project, "dvc", "remote", "add", "-d", "storage", url)
    for key, value in settings.items():
        read_output(project, "dvc", "remote", "modify", "storage", key, value)
    commit_all(project, "storage")


def test_a_clone_pulls_everything_from_s3_and_runs_nothing(project, bucket, tmp_path):
    name_storage(project, "s3://alloy/whole", endpointurl=bucket.endpoint)
    read_output(project, "dvc", "push")
    copy = clone_repository(project, tmp_path / "copy")
    read_output(copy, "dvc", "pull")
    assert "Running stage" not in read_output(copy, "dvc", "repro")
    assert (copy / "answers").read_text() == "vocabulary\nweights\n"
    assert "in sync" in read_output(copy, "dvc", "status", "--cloud")


def test_no_file_in_git_has_the_keys(project, bucket, tmp_path):
    name_storage(project, "s3://alloy/keys", endpointurl=bucket.endpoint)
    keys = (("access_key_id", "nobody"), ("secret_access_key", "hidden-nothing"))
    for key, value in keys:
        read_output(project, "dvc", "remote", "modify", "--local", "storage", key, value)
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    read_output(project, "dvc", "push", **without)
    read_output(project, "git", "add", "-A")
    assert "hidden-nothing" in (project / ".dvc/config.local").read_text()
    assert run_command(project, "git", "grep", "--cached", "hidden-nothing", check=False).returncode == 1


def test_a_corrupt_file_on_s3_is_refused_with_verify(project, bucket, tmp_path):
    name_storage(project, "s3://alloy/spoilt", endpointurl=bucket.endpoint, verify="true")
    read_output(project, "dvc", "push")
    spoilt = next(key for key in bucket.files() if key.startswith("spoilt/") and not key.endswith(".dir"))
    bucket.client.put_object(Bucket=bucket.name, Key=spoilt, Body=b"noise")
    copy = clone_repository(project, tmp_path / "copy")
    refused = run_command(copy, "dvc", "pull", check=False)
    assert refused.returncode != 0
    assert "Checkout failed" in refused.stderr
    # Another push does not fix it, since DVC compares only names. The file must go first, and the folder's list with
    # it: where that stands, DVC takes its files for present.
    read_output(project, "dvc", "push")
    assert run_command(copy, "dvc", "pull", check=False).returncode != 0
    for key in bucket.files():
        if key == spoilt or (key.startswith("spoilt/") and key.endswith(".dir")):
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
    read_output(project, "dvc", "push")
    read_output(copy, "dvc", "pull")
    assert (copy / "answers").read_text() == "vocabulary\nweights\n"


def test_a_corrupt_file_on_s3_is_accepted_without_verify(project, bucket, tmp_path):
    name_storage(project, "s3://alloy/unseen", endpointurl=bucket.endpoint)
    read_output(project, "dvc", "push")
    for key in bucket.files():
        if key.startswith("unseen/") and not key.endswith(".dir"):
            bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"noise")
    copy = clone_repository(project, tmp_path / "copy")
    read_output(copy, "dvc", "pull")
    assert (copy / "answers").read_text() == "noise"


def test_a_shared_folder_can_be_a_remote_with_verify(project, tmp_path):
    name_storage(project, str(tmp_path / "shared"), verify="true")
    read_output(project, "dvc", "push")
    copy = clone_repository(project, tmp_path / "copy")
    read_output(copy, "dvc", "pull")
    assert "Running stage" not in read_output(copy, "dvc", "repro")
    corrupt_file(next(file for file in (tmp_path / "shared").rglob("*") if file.is_file() and file.suffix != ".dir"))
    another = clone_repository(project, tmp_path / "another")
    assert run_command(another, "dvc", "pull", check=False).returncode != 0


def test_a_folder_over_ssh_can_be_a_remote_without_its_password_in_git(project, tmp_path):
    with ssh_server.serve_files() as port:
        name_storage(project, f"ssh://{ssh_server.USER}@127.0.0.1:{port}{tmp_path}/store")
        copy = clone_repository(project, tmp_path / "copy")
        for folder in (project, copy):
            read_output(folder, "dvc", "remote", "modify", "--local", "storage", "password", ssh_server.PASSWORD)
        read_output(project, "dvc", "push")
        read_output(copy, "dvc", "pull")
    assert (copy / "answers").read_text() == "vocabulary\nweights\n"
    assert run_command(project, "git", "grep", ssh_server.PASSWORD, check=False).returncode == 1
