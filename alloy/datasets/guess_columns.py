"""Guess from names and values which column of a table holds what.

1. A name that says what its column holds decides (`header_words.py`), but for a text that is no text.
2. The text is else the column with the longest values.
3. The levels are else the columns with few values that come again and again and nest in each other.
4. Values say whether a cell holds several labels or a whole path, and whether a row is a comment or a segment of one.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from alloy.datasets.header_words import level_number, role_of
from alloy.datasets.source import RowIs

LABEL_SEPARATORS = ("|", ";", "\n", ",")
PATH_SEPARATORS = (" > ", ">", "::", " / ", "/", "\\", " - ")
NUMBER = re.compile(r"[\d.,:/ %€$-]+")
SHORT = 60  # characters that a label has at most, on average
NESTED = 0.98  # share of the values of a level that have one parent


@dataclass
class Guess:
    """What the columns hold, and how labels are written in them."""

    columns: dict[str, str] = field(default_factory=dict)  # of a comment, but for the levels
    levels: list[str] = field(default_factory=list)
    row_is: RowIs = RowIs.comment
    label_separator: str | None = None
    path_separator: str | None = None


def guess_columns(
    header: list[str], rows: list[list[str]], given: dict[str, str] | None = None, levels: list[str] | None = None
) -> Guess:
    """Return the guess; `columns` lacks `text`, and `levels` is empty, if nothing in the table looks like them.

    What is `given` of the columns, and the `levels` if there are any, is not guessed.
    """
    given = given or {}
    values = {
        name: [row[at].strip() for row in rows] for at, name in enumerate(header) if header.count(name) == 1 and name
    }
    values = {name: cells for name, cells in values.items() if any(cells) or name in given.values()}
    roles = {name: role_of(name) for name in values}
    guess = Guess()
    for role in ("id", "content", "emotion", "lang", "split", "weight"):
        named = [name for name in values if roles[name] == role]
        if named:
            guess.columns[role] = named[0]
    guess.columns = {
        role: name for role, name in guess.columns.items() if name not in (*given.values(), *(levels or []))
    }
    guess.columns |= given
    taken = {*(name for role, name in given.items() if role != "text"), *(levels or [])}
    free = {name: cells for name, cells in values.items() if name not in taken}
    text = given.get("text") or _text(free, roles)
    if text is None:
        return guess
    guess.columns["text"] = text
    guess.columns = {role: name for role, name in guess.columns.items() if role == "text" or name != text}
    free = {name: cells for name, cells in values.items() if name not in guess.columns.values()}
    guess.levels = levels or _levels(free, roles)
    if not guess.levels:
        return guess
    if len(guess.levels) == 1:
        guess.path_separator = find_path_separator(values[guess.levels[0]])
    if guess.path_separator is None:
        guess.label_separator = find_label_separator(values[guess.levels[-1]])
    if "split" in guess.columns and not {cell.lower() for cell in values[guess.columns["split"]]} <= {
        "",
        "train",
        "test",
    }:
        del guess.columns["split"]
    _find_rows(guess, values)
    return guess


def _text(values: dict[str, list[str]], roles: dict[str, str | None]) -> str | None:
    """Return the column with the longest values, of those that are called a text if there are any."""
    lengths = {name: _mean_length(cells) for name, cells in values.items()}
    texts = [name for name in values if roles[name] == "text"]
    named = [name for name in texts if lengths[name] > 0 and not _mostly_numbers(values[name])]
    others = [name for name in values if roles[name] in (None, "content") and lengths[name] >= 20]
    pool = named or others
    return max(pool, key=lambda name: lengths[name]) if pool else None


def _levels(values: dict[str, list[str]], roles: dict[str, str | None]) -> list[str]:
    """Return the columns of the levels, the first level first."""
    named = [name for name in values if roles[name] == "levels" and _mean_length(values[name]) <= SHORT]
    numbered = {name: level_number(name) for name in named}
    if any(numbered.values()):
        return sorted((name for name in named if numbered[name]), key=lambda name: numbered[name] or 0)
    if named:
        pairs = list(pairwise(named))  # from left to right, unless a column on the left is the finer one
        turned = any(_nests(values[b], values[a]) and not _nests(values[a], values[b]) for a, b in pairs)
        return sorted(named, key=lambda name: len(set(values[name]))) if turned else named
    fit = [name for name in values if roles[name] is None and _looks_like_labels(values[name])]
    fit.sort(key=lambda name: len(set(values[name])))
    chain = fit[-1:]
    for name in fit[-2::-1]:
        if _nests(values[name], values[chain[0]]):
            chain.insert(0, name)
    return chain if len(fit) == len(chain) or len(chain) > 1 else []


def _looks_like_labels(cells: list[str]) -> bool:
    """Say whether values are few, short and no numbers."""
    filled = [cell for cell in cells if cell]
    distinct = len(set(filled))
    return 2 <= distinct <= max(2, len(filled) / 2) and _mean_length(filled) <= SHORT and not _mostly_numbers(filled)


def _nests(parents: list[str], children: list[str]) -> bool:
    """Say whether nearly each child has one parent, and there are no more parents than children."""
    pairs = {(parent, child) for parent, child in zip(parents, children, strict=True) if parent and child}
    each = Counter(child for _, child in pairs)
    return len({parent for parent, _ in pairs}) <= len(each) and sum(n == 1 for n in each.values()) >= NESTED * len(
        each
    )


def find_label_separator(cells: list[str]) -> str | None:
    """Return what separates several labels in one cell, whose parts also come alone; None if cells hold one each."""
    whole = set(cells)
    for separator in LABEL_SEPARATORS:
        parts = [part.strip() for cell in cells if separator in cell for part in cell.split(separator) if part.strip()]
        joined = sum(separator in cell for cell in cells)
        again = sum(count > 1 for count in Counter(parts).values())
        alone = sum(part in whole for part in set(parts))
        if joined and alone >= len(set(parts)) * 0.5 and again + alone >= len(set(parts)):
            return separator
    return None


def find_path_separator(cells: list[str]) -> str | None:
    """Return what separates the levels in one cell, where most cells hold a path whose first part comes again."""
    filled = [cell for cell in cells if cell]
    for separator in PATH_SEPARATORS:
        paths = [cell.split(separator) for cell in filled if separator in cell]
        firsts = {path[0].strip() for path in paths}
        if len(paths) >= 0.6 * len(filled) and len(firsts) < len({tuple(path) for path in paths}):
            return separator.strip() or separator
    return None


def _find_rows(guess: Guess, values: dict[str, list[str]]) -> None:
    """Find out whether a row is a segment: ids or texts come again with other labels, or rows have neither."""
    labels = list(zip(*(values[level] for level in guess.levels), strict=True))
    texts = values[guess.columns["text"]]
    ids = values[guess.columns["id"]] if "id" in guess.columns else None
    known: dict[str, set[tuple[str, ...]]] = {}
    said: dict[str, set[str]] = {}
    for key, text, label in zip(ids or texts, texts, labels, strict=True):
        if key:
            known.setdefault(key, set()).add(label)
            said.setdefault(key, set()).update({text} - {""})
    if any(len(of) > 1 for of in said.values()):
        del guess.columns["id"]  # it names no comment
        _find_rows(guess, values)
        return
    again = sum(len(of) > 1 for of in known.values())
    lines = zip(ids or texts, texts, labels, strict=True)
    goes_on = sum(not key and not text and any(label) for key, text, label in lines)
    if again + goes_on > 0.02 * len(known):
        guess.row_is = RowIs.segment
    elif ids and len(known) < sum(map(bool, ids)):
        del guess.columns["id"]
    if guess.row_is is RowIs.comment:
        guess.columns.pop("content", None)


def _mean_length(cells: list[str]) -> float:
    filled = [cell for cell in cells if cell]
    return sum(map(len, filled)) / len(filled) if filled else 0.0


def _mostly_numbers(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    digits = sum(NUMBER.fullmatch(cell) is not None for cell in filled)
    return digits > len(filled) / 2
