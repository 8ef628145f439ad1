"""Run git commands."""

import subprocess

from alloy.core.files import InputError


def run_git(*arguments: str) -> str:
    """Run a git command and return its output; a failure raises `InputError`."""
    done = subprocess.run(["git", *arguments], text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"git {arguments[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout
