"""Texts that are nearly the same: alike, or apart by one word.

Likeness is the Jaccard index of the windows of five bytes that two texts consist of: the share of all windows that both
have. It needs no language and no word boundaries. One word of a short text is many of its windows: texts of `WORDS`
words or more are also nearly the same when they differ in one. Texts are given as
`fold_text` makes them (`alloy/core/text.py`).

Candidates for the one come from MinHash (A. Broder, "On the resemblance and containment of documents", 1997) with the
permutations of the library datasketch; its own class takes a Python list a text, and its index a dictionary a band:
arrays give the same signatures (tests/splitting/test_near_duplicates.py) in less time and memory. Candidates for the
other share a half: one word changes only one of two. Each pair is then compared in full.
"""

from collections.abc import Callable, Iterable
from operator import ne
from typing import NamedTuple

import numpy as np

from alloy.core.text import text_key

PERMUTATIONS, BAND = 32, 4  # at a likeness of 0.8 a pair shares one of 8 bands with probability 0.985
SLACK = 0.25  # what a signature's estimate may be off by; one standard deviation is 0.07 at likeness 0.8
MASK = np.uint64(2**40 - 1)
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, Knuth's multiplicative hashing
BEFORE = 8  # rows before one that it is compared with
WORDS = 8  # from which on a text may differ in one

Pairs = np.ndarray  # (pairs, 2) of places, the smaller first


class Shelf(NamedTuple):
    """The `rows` that share something with others, together, and the place `first` where each's mates begin.

    Pairs are looked at whose estimated likeness is `floor` or more.
    """

    rows: np.ndarray
    first: np.ndarray
    floor: float


def windows(text: str) -> np.ndarray:
    """Return the windows of five bytes of `text` as numbers, in their order, in uint64."""
    data = text.encode().ljust(5, b"\0") + b"\0\0\0"
    count = len(data) - 7
    return np.ndarray(count, "<u8", data, strides=(1,)) & MASK


def likeness(a: str, b: str) -> float:
    """Return the Jaccard index of the windows of two texts, from 0 to 1."""
    one, other = set(windows(a).tolist()), set(windows(b).tolist())
    return len(one & other) / len(one | other)


def signatures(texts: Iterable[str], permutations: int = PERMUTATIONS) -> np.ndarray:
    """Return (texts, permutations) in uint32: the share of equal places of two rows estimates their likeness."""
    parts = [windows(text) for text in texts]
    if not parts:
        return np.empty((0, permutations), np.uint32)
    hashed = _mixed(((np.concatenate(parts) * MIX) >> np.uint64(32)).astype(np.uint32))
    first = np.cumsum([0, *map(len, parts[:-1])])
    each = zip(*_permutations(permutations), strict=True)
    return np.stack([np.minimum.reduceat(factor * hashed + offset, first) for factor, offset in each], axis=1)


def _permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return factors and offsets of maps h -> factor * h + offset modulo 2**32, drawn as datasketch draws them.

    An odd factor makes the map one to one.
    """
    drawn = np.random.RandomState(1)
    factors = drawn.randint(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, drawn.randint(0, 2**32, count, dtype=np.uint32)


def _mixed(hashed: np.ndarray) -> np.ndarray:
    """Return MurmurHash3's finalizer of each number, as datasketch applies it before its permutations."""
    hashed = (hashed ^ (hashed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashed = (hashed ^ (hashed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashed ^ (hashed >> np.uint32(16))


def halves(texts: Iterable[str]) -> np.ndarray:
    """Return (texts, 2) in uint64: hashes of the first and the last half of the words; 0 of too few words."""
    return np.array([_halves(text) for text in texts], np.uint64).reshape(-1, 2)


def _halves(text: str) -> tuple[int, int]:
    words = text.split(" ")
    if len(words) < WORDS:
        return 0, 0
    count, middle = len(words), len(words) // 2
    return text_key(f"{count} {' '.join(words[:middle])}"), text_key(f"{count} {' '.join(words[middle:])}")


def shelves(signed: np.ndarray, halved: np.ndarray, threshold: float) -> list[Shelf]:
    """Return a shelf for each band of the signatures, where likeness may be `threshold`, and one for each half."""
    every, worded = np.arange(len(signed)), np.flatnonzero(halved[:, 0])
    bands = [_shelf(every, keys, threshold - SLACK) for keys in band_keys(signed, BAND)]
    return bands + [_shelf(worded, keys, 0.0) for keys in halved[worded].T]


def _shelf(rows: np.ndarray, keys: np.ndarray, floor: float) -> Shelf:
    """Return those of `rows` whose key others have too."""
    order = np.argsort(keys, kind="stable")
    new = np.ones(len(keys), bool)
    new[1:] = np.diff(keys[order]) != 0
    shared = ~(new & np.append(new[1:], True)[: len(new)])
    return Shelf(rows[order[shared]], np.maximum.accumulate(np.where(new[shared], np.arange(shared.sum()), 0)), floor)


def candidates(signed: np.ndarray, shelved: list[Shelf]) -> Pairs:
    """Return the pairs of rows of `signed` that may be nearly the same.

    A row is compared with the first one that shares its shelf and with the `BEFORE` ones before it, so that the cost
    grows with the rows and not with their pairs; rows that come behind change nothing among those before.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, first, floor in shelved:
        place = np.arange(len(rows))
        for before in (first, *(np.maximum(place - step, first) for step in range(1, BEFORE + 1))):
            pairs = np.stack([rows[before], rows], axis=1)[before != place]
            found.append(pairs[alike(signed[pairs[:, 0]], signed[pairs[:, 1]]) >= floor])
    return np.unique(np.concatenate(found), axis=0)


def between(signed: np.ndarray, shelved: list[Shelf], test: np.ndarray, train: np.ndarray) -> Pairs:
    """Return the pairs of a row of test and one of train, masks of rows, that may be nearly the same.

    A row of train is compared with the `BEFORE` rows of test on either side of it among those that share its shelf.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, first, floor in shelved:
        tests, place = np.flatnonzero(test[rows]), np.flatnonzero(train[rows])
        if not len(tests):
            continue
        behind = np.searchsorted(tests, place)
        for step in range(-BEFORE, BEFORE):
            other = tests[np.clip(behind + step, 0, len(tests) - 1)]
            together = first[other] == first[place]
            pairs = np.sort(np.stack([rows[other], rows[place]], axis=1)[together], axis=1)
            found.append(pairs[alike(signed[pairs[:, 0]], signed[pairs[:, 1]]) >= floor])
    return np.unique(np.concatenate(found), axis=0)


def unseen(pairs: Pairs, seen: Pairs) -> Pairs:
    """Return those of `pairs` that are not among `seen`."""
    rows = int(max(pairs.max(initial=0), seen.max(initial=0))) + 1
    codes = np.setdiff1d(pairs @ [rows, 1], seen @ [rows, 1])
    return np.stack([codes // rows, codes % rows], axis=1)


def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the estimated likeness (n,) of the texts of two arrays of signatures."""
    return (one == other).mean(axis=1, dtype=np.float32)


def band_keys(signed: np.ndarray, size: int) -> list[np.ndarray]:
    """Return for each band of `size` places one number a row, in uint64: equal where the bands are."""
    factors = np.random.default_rng(0).integers(2**63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    bands = np.split(signed.astype(np.uint64), signed.shape[1] // size, axis=1)
    return [(band * factors).sum(axis=1, dtype=np.uint64) for band in bands]


def near_pairs(pairs: Pairs, threshold: float, text: Callable[[int], str]) -> Pairs:
    """Return those of `pairs` whose texts have a likeness of at least `threshold`, or differ in one word."""
    kept = [same(text(a), text(b), threshold) for a, b in pairs.tolist()]
    return pairs[np.array(kept, bool)]


def same(a: str, b: str, threshold: float) -> bool:
    """Say whether two texts are nearly the same."""
    return one_word_apart(a, b) or likeness(a, b) >= threshold


def one_word_apart(a: str, b: str) -> bool:
    """Say whether two texts of `WORDS` words or more differ in just one."""
    one, other = a.split(" "), b.split(" ")
    return len(one) == len(other) >= WORDS and sum(map(ne, one, other)) == 1
