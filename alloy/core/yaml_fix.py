"""Suggest how to fix a YAML file that is not valid, and find merge conflict markers in text files."""

import re
from collections.abc import Iterable
from pathlib import Path

from alloy.core.files import InputError

CONFLICT_MARKER = re.compile(r"^<{7}( |$)", re.MULTILINE)
# Parts of error messages of PyYAML and OmegaConf, and how to fix each error.
FIXES = {
    "cannot start any token": "quote the value, and indent with spaces instead of tabs",
    "duplicate key": "keep one of the two keys",
    "special characters": "remove the control characters, and save the file as UTF-8",
    "could not determine a constructor": "remove the tag, which begins with `!`",
    "undefined alias": "write the value instead of the `*name`",
    "another document": "keep one document, and remove the line `---`",
    "unhashable key": "write a word as the key",
    "while scanning a quoted scalar": "close the quote",
}


def how_to_fix(reason: str) -> str:
    """Return how to fix a YAML file, given the parser's error message."""
    return next((fix for message, fix in FIXES.items() if message in reason), "correct that line or the one before")


def require_resolved(paths: Iterable[Path]) -> None:
    """Raise `InputError`, with file and line, if any of the files has merge conflict markers."""
    errors = []
    for path in paths:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if marker := CONFLICT_MARKER.search(text):
            line = text.count("\n", 0, marker.start()) + 1
            more = ", then run `dvc repro` to update it" if path.suffix == ".lock" else ""
            errors.append(f"{path}:{line}: merge conflict marker; keep one side and remove the markers{more}")
    if errors:
        raise InputError("\n".join(errors))
