"""What git says of the project."""

import subprocess

from alloy.core.files import InputError


def git(*words: str) -> str:
    """Return what a git command prints."""
    done = subprocess.run(["git", *words], text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"git {words[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout
