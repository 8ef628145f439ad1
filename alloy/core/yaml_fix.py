"""What to do about a YAML file that cannot be read, and about marks of a merge conflict in any text."""

import re
from collections.abc import Iterable
from pathlib import Path

from alloy.core.files import InputError

MARK = re.compile(r"^<{7}( |$)", re.MULTILINE)
# Words of PyYAML's and OmegaConf's reasons, and what to do.
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
    """Return what to do about a YAML file, by the reason for which it cannot be read."""
    return next((fix for words, fix in FIXES.items() if words in reason), "correct that line or the one before")


def require_resolved(paths: Iterable[Path]) -> None:
    """Raise `InputError` with the places if any of the files has marks of a merge conflict."""
    places = []
    for path in paths:
        if path.is_file() and (found := MARK.search(text := path.read_text(encoding="utf-8", errors="replace"))):
            line = text.count("\n", 0, found.start()) + 1
            more = ", then `dvc repro` brings it up to date" if path.suffix == ".lock" else ""
            places.append(f"{path}:{line}: a mark of a merge conflict; keep one side and remove the marks{more}")
    if places:
        raise InputError("\n".join(places))
