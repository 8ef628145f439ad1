"""Warn about unknown keys of rows, which have no effect, and suggest the most similar known key."""

import difflib
from collections import Counter
from collections.abc import Collection

from alloy.core.files import Row

MAX_SHOWN_KEYS = 10  # further unknown keys are only counted


def find_unknown_keys(row: Row, known: frozenset[str]) -> list[str]:
    """Return the keys of `row` that are not in `known`, except those whose value is null."""
    if row.keys() <= known:  # nearly all rows
        return []
    return [key for key, value in row.items() if key not in known and value is not None]


def describe_unknown_keys(location: object, counts: Counter[str], known: Collection[str]) -> list[str]:
    """Return a warning per unknown key of the file `location`; `counts` has the number of rows with each key.

    >>> describe_unknown_keys("c.jsonl", Counter({"Split": 60}), ["id", "split"])
    ['c.jsonl: unknown key `Split` in 60 rows has no effect; did you mean `split`?']
    """
    lines = []
    for key, rows in counts.most_common(MAX_SHOWN_KEYS):
        similar = find_nearest_key(key, known)
        hint = f"did you mean `{similar}`?" if similar else f"known keys: {', '.join(known)}"
        plural = "rows" if rows != 1 else "row"
        lines.append(f"{location}: unknown key `{key}` in {rows} {plural} has no effect; {hint}")
    if len(counts) > MAX_SHOWN_KEYS:
        lines.append(f"{location}: {len(counts) - MAX_SHOWN_KEYS} more unknown keys have no effect")
    return lines


def find_nearest_key(key: str, known: Collection[str]) -> str | None:
    """Return the known key that is most similar to `key`, or None if none is similar.

    Case, spaces, hyphens and underscores do not count. A key of a nested object, such as `messages.roles`, is compared
    with known keys of the same object.
    """
    parent, _, last = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    by_simple_name = {_simplify_key(name.rpartition(".")[2]): name for name in siblings}
    similar = difflib.get_close_matches(_simplify_key(last), by_simple_name, n=1, cutoff=0.65)
    return by_simple_name[similar[0]] if similar else None


def _simplify_key(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "").replace(" ", "")
