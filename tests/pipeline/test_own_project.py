"""The commands of docs/own-project.md start a team's project and merge a later version of Alloy."""

import re
from pathlib import Path

import pytest
import yaml

from alloy.core.files import write_jsonl
from repositories import commit_all, read_output, run_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-project.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
AUTHOR = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}
LABELED = [
    {"id": f"c{number}", "text": f"{text} number {number}", "segments": [{"L1": label}]}
    for number in range(40)
    for text, label in [("the food was cold again at table", "Food"), ("our waiter was friendly at table", "Service")][
        number % 2 :
    ][:1]
]


def block_with(words: str) -> str:
    """Return the one block of the page that contains `words`."""
    (found,) = [block for block in BLOCKS if words in block]
    return found


def run_block(folder: Path, block: str, **replaced: str) -> str:
    """Run a block of the page, each address replaced by a local folder."""
    for address, local in {**REPLACEMENTS, **replaced}.items():
        block = block.replace(address, local)
    return read_output(folder, "bash", "-euo", "pipefail", "-c", block, **AUTHOR)


# `make repro` would create another environment.
REPLACEMENTS = {"make repro": "dvc repro split"}


def replace_in_file(file: Path, old: str, new: str) -> None:
    """Replace the only occurrence of `old` in a file."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def alloy(tmp_path: Path) -> Path:
    """A clone of this repository, used as Alloy's repository."""
    read_output(tmp_path, "git", "clone", "-q", str(ROOT), "alloy")
    for key, value in (("user.name", "Test"), ("user.email", "test@example.org")):
        read_output(tmp_path / "alloy", "git", "config", key, value)
    read_output(tmp_path / "alloy", "git", "checkout", "-q", "-B", "main")
    return tmp_path / "alloy"


@pytest.fixture
def team(tmp_path: Path, alloy: Path) -> Path:
    """The team's clone, with the team's comments, split and committed."""
    origin, storage = tmp_path / "origin.git", tmp_path / "storage"
    read_output(tmp_path, "git", "init", "-q", "--bare", "-b", "main", str(origin))
    start, remote = block_with("remote rename"), block_with("dvc remote add")
    (upstream_url,), (origin_url,) = re.findall(r"clone (\S+) ", start), re.findall(r"remote add origin (\S+)", start)
    run_block(tmp_path, start, **{upstream_url: str(alloy), origin_url: str(origin)})
    folder = tmp_path / "feedback"
    run_block(folder, remote, **{"s3://team/feedback": str(storage)})
    (folder / "data/team").mkdir()
    write_jsonl(folder / "data/team/comments.jsonl", LABELED)
    (folder / "data/team/taxonomy.csv").write_text("L1\nFood\nService\n")
    read_output(folder, "dvc", "add", "-q", "data/team/comments.jsonl")
    replace_in_file(folder / "params.yaml", "comments: demo ", "comments: team ")
    replace_in_file(folder / "params.yaml", "ratio: 0.0 ", "ratio: 0.25 ")
    run_block(folder, block_with("First results"))
    return folder


def test_a_team_merges_a_later_version_and_keeps_settings_and_results(alloy: Path, team: Path) -> None:
    team_files = {name: (team / name).read_text() for name in ("dvc.lock", "metrics/split.json")}
    replace_in_file(alloy / "params.yaml", "resamples: 1000 ", "resamples: 2000 ")
    with (alloy / "stages/split.py").open("a") as file:
        file.write("\n# A later version.\n")
    replace_in_file(alloy / "docs/own-project.md", "# Your own project", "# A project for your team")
    for name in team_files:
        with (alloy / name).open("a") as file:
            file.write("\n")
    commit_all(alloy, "A later version")

    run_block(team, block_with("git merge"))

    assert read_output(team, "git", "status", "--porcelain") == ""
    params = yaml.safe_load((team / "params.yaml").read_text())
    assert (params["data"]["comments"], params["mix"]["ratio"]) == ("team", 0.25)
    assert params["score"]["resamples"] == 2000
    assert (team / "stages/split.py").read_text().endswith("# A later version.\n")
    assert {name: (team / name).read_text() for name in team_files} == team_files
    assert "Running stage 'split'" in run_block(team, block_with("Results with"))
    assert read_output(team, "git", "status", "--porcelain") == ""


def test_a_clone_of_the_teams_repository_has_its_comments(tmp_path: Path, team: Path) -> None:
    read_output(tmp_path, "git", "clone", "-q", str(tmp_path / "origin.git"), "copy")
    copy = tmp_path / "copy"
    assert not (copy / "data/team/comments.jsonl").exists()
    read_output(copy, "dvc", "pull", "-q", "data/team/comments.jsonl.dvc", "prepare@comments", "split")
    assert (copy / "data/team/comments.jsonl").read_bytes() == (team / "data/team/comments.jsonl").read_bytes()
    assert run_command(copy, "dvc", "repro", "--dry", "split").stdout.count("Running stage") == 0
