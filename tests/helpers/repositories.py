"""Small repositories of git and DVC, and commands in them."""

import os
import subprocess
import sys
from pathlib import Path

PIPELINE = """
stages:
  model:
    cmd: mkdir -p model && echo weights > model/weights && echo vocabulary > model/vocabulary
    outs: [model]
  answers:
    cmd: cat model/vocabulary model/weights > answers
    deps: [model]
    outs: [answers]
"""


def run_command(folder: Path, *words: str, check: bool = True, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in `folder`, with this repository's stages importable. With `check`, it must succeed."""
    root = Path(__file__).parents[2]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {**os.environ, "PATH": path, "PYTHONPATH": str(root), **env}
    result = subprocess.run(words, cwd=folder, env=known, text=True, capture_output=True, check=False)
    assert result.returncode == 0 or not check, f"{' '.join(words)}\n{result.stdout}\n{result.stderr}"
    return result


def read_output(folder: Path, *words: str, **env: str) -> str:
    """Run a command that must succeed; return its output."""
    result = run_command(folder, *words, **env)
    return result.stdout + result.stderr


def commit_all(folder: Path, message: str) -> None:
    """Commit all files that git does not ignore."""
    read_output(folder, "git", "add", "-A")
    read_output(folder, "git", "commit", "-qm", message)


def make_repository(folder: Path) -> Path:
    """Make `folder` an empty git and DVC repository."""
    folder.mkdir(parents=True, exist_ok=True)
    for words in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.email", "test@example.org"],
        ["git", "config", "user.name", "Test"],
        ["dvc", "init", "-q"],
        ["dvc", "config", "core.analytics", "false"],
    ):
        read_output(folder, *words)
    return folder


def make_finished_repository(folder: Path) -> Path:
    """Make `folder` a repository with two stages that have run: `model` writes a folder, `answers` a file from it."""
    make_repository(folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    read_output(folder, "dvc", "repro", "-q")
    commit_all(folder, "start")
    return folder


def clone_repository(folder: Path, copy: Path) -> Path:
    """Return a fresh clone of `folder`."""
    read_output(folder, "git", "clone", "-q", str(folder), str(copy))
    return copy


def corrupt_file(file: Path) -> None:
    """Change the last byte of a read-only file, as a bad disk does; keep its mode."""
    mode = file.stat().st_mode
    file.chmod(0o644)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    file.chmod(mode)
