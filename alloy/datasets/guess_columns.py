"""Guess what the columns of a table contain, from their names and values.

1. Column names that are known words decide (`header_words.py`).
2. Without such a name, the text is the column with the longest values. A column with the name of a text but without
   texts is ignored.
3. Without such names, the levels are the columns with few different values that nest: each value of a deeper level
   occurs with one value of the level above.
4. The values decide whether a cell holds several labels or a whole path, and whether a row is a comment or a segment.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from alloy.datasets.header_words import find_role, parse_level_number
from alloy.datasets.source import RowIs

LABEL_SEPARATORS = ("|", ";", "\n", ",")
PATH_SEPARATORS = (" > ", ">", "::", " / ", "/", "\\", " - ")
NUMBER = re.compile(r"[\d.,:/ %€$-]+")
MAX_LABEL_LENGTH = 60  # mean number of characters of the values of a column of labels
MIN_NESTED_SHARE = 0.98  # of the values of a level, how many must have a single parent


@dataclass
class Guess:
    """What the columns contain, and how cells with several labels are separated."""

    columns: dict[str, str] = field(default_factory=dict)  # column names by field of a comment, without the levels
    levels: list[str] = field(default_factory=list)
    row_is: RowIs = RowIs.comment
    label_separator: str | None = None
    path_separator: str | None = None


def guess_columns(
    header: list[str],
    rows: list[list[str]],
    user_columns: dict[str, str] | None = None,
    levels: list[str] | None = None,
) -> Guess:
    """Return the guess. If no column looks like text, `columns` has no `text`; if none looks like labels, no `levels`.

    `user_columns` and `levels` come from the user and are not guessed.
    """
    user_columns = user_columns or {}
    values = {
        name: [row[index].strip() for row in rows]
        for index, name in enumerate(header)
        if header.count(name) == 1 and name
    }
    values = {name: cells for name, cells in values.items() if any(cells) or name in user_columns.values()}
    roles = {name: find_role(name) for name in values}
    guess = Guess()
    for role in ("id", "content", "emotion", "lang", "split", "weight"):
        named = [name for name in values if roles[name] == role]
        if named:
            guess.columns[role] = named[0]
    guess.columns = {
        role: name for role, name in guess.columns.items() if name not in (*user_columns.values(), *(levels or []))
    }
    guess.columns |= user_columns
    taken = {*(name for role, name in user_columns.items() if role != "text"), *(levels or [])}
    free = {name: cells for name, cells in values.items() if name not in taken}
    text = user_columns.get("text") or _guess_text(free, roles)
    if text is None:
        return guess
    guess.columns["text"] = text
    guess.columns = {role: name for role, name in guess.columns.items() if role == "text" or name != text}
    free = {name: cells for name, cells in values.items() if name not in guess.columns.values()}
    guess.levels = levels or _guess_levels(free, roles)
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
    _guess_row_type(guess, values)
    return guess


def _guess_text(values: dict[str, list[str]], roles: dict[str, str | None]) -> str | None:
    """Return the column with the longest values, if possible one with the name of a text."""
    lengths = {name: _compute_mean_length(cells) for name, cells in values.items()}
    texts = [name for name in values if roles[name] == "text"]
    named = [name for name in texts if lengths[name] > 0 and not _are_mostly_numbers(values[name])]
    others = [name for name in values if roles[name] in (None, "content") and lengths[name] >= 20]
    candidates = named or others
    return max(candidates, key=lambda name: lengths[name]) if candidates else None


def _guess_levels(values: dict[str, list[str]], roles: dict[str, str | None]) -> list[str]:
    """Return the columns of the levels, first level first."""
    named = [
        name for name in values if roles[name] == "levels" and _compute_mean_length(values[name]) <= MAX_LABEL_LENGTH
    ]
    level_numbers = {name: parse_level_number(name) for name in named}
    if any(level_numbers.values()):
        return sorted((name for name in named if level_numbers[name]), key=lambda name: level_numbers[name] or 0)
    if named:
        pairs = list(pairwise(named))  # from left to right, unless a column has more values than the one on its right
        reversed_order = any(
            _is_nested(values[b], values[a]) and not _is_nested(values[a], values[b]) for a, b in pairs
        )
        return sorted(named, key=lambda name: len(set(values[name]))) if reversed_order else named
    candidates = [name for name in values if roles[name] is None and _looks_like_labels(values[name])]
    candidates.sort(key=lambda name: len(set(values[name])))
    chain = candidates[-1:]
    for name in candidates[-2::-1]:
        if _is_nested(values[name], values[chain[0]]):
            chain.insert(0, name)
    return chain if len(candidates) == len(chain) or len(chain) > 1 else []


def _looks_like_labels(cells: list[str]) -> bool:
    """Return whether the values are few, short and not numbers."""
    filled = [cell for cell in cells if cell]
    distinct = len(set(filled))
    return (
        2 <= distinct <= max(2, len(filled) / 2)
        and _compute_mean_length(filled) <= MAX_LABEL_LENGTH
        and not _are_mostly_numbers(filled)
    )


def _is_nested(parents: list[str], children: list[str]) -> bool:
    """Return whether nearly every child has one parent, and there are not more parents than children."""
    pairs = {(parent, child) for parent, child in zip(parents, children, strict=True) if parent and child}
    parents_per_child = Counter(child for _, child in pairs)
    return len({parent for parent, _ in pairs}) <= len(parents_per_child) and sum(
        n == 1 for n in parents_per_child.values()
    ) >= MIN_NESTED_SHARE * len(parents_per_child)


def find_label_separator(cells: list[str]) -> str | None:
    """Return the separator of several labels in one cell; None if each cell holds one label.

    The parts of such cells must also occur alone or repeatedly.
    """
    whole = set(cells)
    for separator in LABEL_SEPARATORS:
        parts = [part.strip() for cell in cells if separator in cell for part in cell.split(separator) if part.strip()]
        joined = sum(separator in cell for cell in cells)
        repeated = sum(count > 1 for count in Counter(parts).values())
        alone = sum(part in whole for part in set(parts))
        if joined and alone >= len(set(parts)) * 0.5 and repeated + alone >= len(set(parts)):
            return separator
    return None


def find_path_separator(cells: list[str]) -> str | None:
    """Return the separator of the levels in a cell, if most cells contain paths with common first parts; else None."""
    filled = [cell for cell in cells if cell]
    for separator in PATH_SEPARATORS:
        paths = [cell.split(separator) for cell in filled if separator in cell]
        firsts = {path[0].strip() for path in paths}
        if len(paths) >= 0.6 * len(filled) and len(firsts) < len({tuple(path) for path in paths}):
            return separator.strip() or separator
    return None


def _guess_row_type(guess: Guess, values: dict[str, list[str]]) -> None:
    """Guess whether a row is a comment or a segment, and drop columns that do not fit the guess.

    Rows are segments if ids or texts are repeated with other labels, or if rows have neither an id nor a text.
    """
    labels = list(zip(*(values[level] for level in guess.levels), strict=True))
    texts = values[guess.columns["text"]]
    ids = values[guess.columns["id"]] if "id" in guess.columns else None
    labels_by_key: dict[str, set[tuple[str, ...]]] = {}
    texts_by_key: dict[str, set[str]] = {}
    for key, text, label in zip(ids or texts, texts, labels, strict=True):
        if key:
            labels_by_key.setdefault(key, set()).add(label)
            texts_by_key.setdefault(key, set()).update({text} - {""})
    if any(len(different) > 1 for different in texts_by_key.values()):
        del guess.columns["id"]  # its values do not identify comments
        _guess_row_type(guess, values)
        return
    repeated = sum(len(different) > 1 for different in labels_by_key.values())
    lines = zip(ids or texts, texts, labels, strict=True)
    continued = sum(not key and not text and any(label) for key, text, label in lines)
    if repeated + continued > 0.02 * len(labels_by_key):
        guess.row_is = RowIs.segment
    elif ids and len(labels_by_key) < sum(map(bool, ids)):
        del guess.columns["id"]
    if guess.row_is is RowIs.comment:
        guess.columns.pop("content", None)


def _compute_mean_length(cells: list[str]) -> float:
    filled = [cell for cell in cells if cell]
    return sum(map(len, filled)) / len(filled) if filled else 0.0


def _are_mostly_numbers(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    digits = sum(NUMBER.fullmatch(cell) is not None for cell in filled)
    return digits > len(filled) / 2
