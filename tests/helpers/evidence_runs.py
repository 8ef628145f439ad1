"""Run experiments with `alloy evidence`, and read their results."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from alloy.core.files import read_json
from sweep_project import ROOT, run_command

EVIDENCE = ("python", "-m", "alloy", "evidence")


def commit_all(project: Path) -> None:
    run_command(project, "git", "add", "-A")
    run_command(project, "git", "commit", "-qm", "more")


def make_environment() -> dict[str, str]:
    """Return the environment of `alloy evidence`, with Alloy and the test helpers on PYTHONPATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/helpers'}"}


def kill_at(project: Path, word: str, count: int, *command: str) -> str:
    """Run a command until it has printed a word `count` times, kill all its processes, and return what it printed."""
    child = subprocess.Popen(
        command, cwd=project, env=make_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout
    output = ""
    for line in child.stdout:
        output += line
        if output.count(word) == count:
            os.killpg(child.pid, signal.SIGKILL)
            break
    child.wait(60)
    child.stdout.close()
    assert child.returncode == -signal.SIGKILL, output
    return output


def list_records(project: Path, name: str = "small", out: str = "docs/evidence") -> list[str]:
    return sorted(path.stem for path in (project / out / "partial" / name).glob("*.json"))


def read_results(project: Path, name: str = "small") -> dict:
    """Return the JSON of an experiment without the values that differ between runs, such as times."""
    found = read_json(project / f"docs/evidence/{name}.json")
    for row in found["runs"]:
        del row["seconds"], row["date"]
    return found
