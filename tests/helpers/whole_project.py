"""Copy this repository without results, and run commands in the copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
AUTHOR = (["config", "user.email", "test@example.org"], ["config", "user.name", "Test"])


def copy_project(folder: Path) -> Path:
    """Copy the files that git tracks or does not ignore to `folder`, without dvc.lock and metrics; return `folder`."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for name in listed.splitlines():
        is_result = name.endswith("dvc.lock") or (name.startswith("metrics/") and name != "metrics/.gitignore")
        if (ROOT / name).is_file() and not is_result:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def commit_project(folder: Path) -> None:
    """Make `folder` a git repository with one commit."""
    for command in (["init", "-q", "-b", "main"], *AUTHOR, ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def run_command(folder: Path, *command: str, timeout: float = 3000) -> str:
    """Run a command in `folder`, which must succeed; return its output."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env.pop("PYTHONPATH", None)
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False, timeout=timeout)
    output = (result.stdout + result.stderr).decode()
    assert result.returncode == 0, f"{' '.join(command)}\n{output}"
    return output
