"""Keys of rows that Alloy does not know: they have no effect, so the user is told, with the nearest known key."""

import difflib
from collections import Counter
from collections.abc import Collection

from alloy.core.files import Row

SHOWN = 10  # unknown keys that are named; the rest is counted


def find_unknown_keys(row: Row, known: frozenset[str]) -> list[str]:
    """Return the keys of `row` that are not in `known`; one whose value is null is absent."""
    if row.keys() <= known:  # nearly all rows
        return []
    return [key for key, value in row.items() if key not in known and value is not None]


def describe_unknown_keys(place: object, counts: Counter[str], known: Collection[str]) -> list[str]:
    """Return one warning for each unknown key of the file `place`; `counts` has the number of rows of each key.

    >>> describe_unknown_keys("c.jsonl", Counter({"Split": 60}), ["id", "split"])
    ['c.jsonl: unknown key `Split` in 60 rows has no effect; did you mean `split`?']
    """
    lines = []
    for key, rows in counts.most_common(SHOWN):
        near = nearest_key(key, known)
        hint = f"did you mean `{near}`?" if near else f"known keys: {', '.join(known)}"
        plural = "rows" if rows != 1 else "row"
        lines.append(f"{place}: unknown key `{key}` in {rows} {plural} has no effect; {hint}")
    if len(counts) > SHOWN:
        lines.append(f"{place}: {len(counts) - SHOWN} more unknown keys have no effect")
    return lines


def nearest_key(key: str, known: Collection[str]) -> str | None:
    """Return the known key that is spelled most like `key`, or None if none is like it.

    Case, spaces, hyphens and underscores do not count. A key of a nested object, `messages.roles`, is compared with the
    known ones of the same object.
    """
    parent, _, last = key.rpartition(".")
    siblings = [name.rpartition(".") for name in known]
    spelled = {_plain(own): "".join((above, dot, own)) for above, dot, own in siblings if above == parent}
    near = difflib.get_close_matches(_plain(last), spelled, n=1, cutoff=0.65)
    return spelled[near[0]] if near else None


def _plain(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "").replace(" ", "")
