"""Texts that are nearly the same: candidates by MinHash, each then compared letter by letter.

Likeness is the Jaccard index of the windows of five bytes that two texts consist of: the share of all windows that both
have. It needs no language and no word boundaries. Texts are given normalised (`stages/comments.py`).

Method: A. Broder, "On the resemblance and containment of documents" (1997), with the permutations of the library
datasketch. Its own class takes a Python list a text, and its index a dictionary a band: arrays give the same signatures
(tests/test_near.py) in less time and memory.
"""

from collections.abc import Callable, Iterable

import numpy as np
from datasketch import MinHash

PERMUTATIONS, BAND = 32, 4  # at a likeness of 0.8 a pair shares one of 8 bands with probability 0.985
SLACK = 0.25  # what a signature's estimate may be off by; one standard deviation is 0.07 at likeness 0.8
MASK = np.uint64(2**40 - 1)
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, Knuth's multiplicative hashing
BEFORE = 8  # rows before one that it is compared with

Pairs = np.ndarray  # (pairs, 2) of places, the smaller first
Shelf = tuple[np.ndarray, np.ndarray]  # the rows that share a band with others, together, and where each's mates begin


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
    factor, offset = np.asarray(MinHash(num_perm=permutations, seed=1, scheme="affine32").permutations)[:, :, None]
    signed = np.empty((0, permutations), np.uint32)
    if parts := [windows(text) for text in texts]:
        hashed = _mixed(((np.concatenate(parts) * MIX) >> np.uint64(32)).astype(np.uint32))
        each = np.split(hashed, np.cumsum([len(part) for part in parts])[:-1])
        signed = np.array([(factor * one + offset).min(axis=1) for one in each], np.uint32)
    return signed


def _mixed(hashed: np.ndarray) -> np.ndarray:
    """Return MurmurHash3's finalizer of each number, as datasketch applies it before its permutations."""
    hashed = (hashed ^ (hashed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashed = (hashed ^ (hashed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashed ^ (hashed >> np.uint32(16))


def shelves(signed: np.ndarray) -> list[Shelf]:
    """Return a shelf for each band of the signatures."""
    found = []
    for keys in band_keys(signed, BAND) if len(signed) else ():
        order = np.argsort(keys, kind="stable")
        new = np.append(True, np.diff(keys[order]) != 0)
        shared = ~(new & np.append(new[1:], True))
        found.append((order[shared], np.maximum.accumulate(np.where(new[shared], np.arange(shared.sum()), 0))))
    return found


def candidates(signed: np.ndarray, threshold: float, shelved: list[Shelf] | None = None) -> Pairs:
    """Return the pairs of rows of `signed` whose likeness may be `threshold`.

    A row is compared with the first one that shares a band with it and with the `BEFORE` ones before it, so that the
    cost grows with the rows and not with their pairs; rows that come behind change nothing among those before.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, first in shelves(signed) if shelved is None else shelved:
        place = np.arange(len(rows))
        for before in (first, *(np.maximum(place - step, first) for step in range(1, BEFORE + 1))):
            pairs = np.stack([rows[before], rows], axis=1)[before != place]
            found.append(pairs[alike(signed[pairs[:, 0]], signed[pairs[:, 1]]) >= threshold - SLACK])
    return np.unique(np.concatenate(found), axis=0)


def between(signed: np.ndarray, threshold: float, shelved: list[Shelf], test: np.ndarray, train: np.ndarray) -> Pairs:
    """Return the pairs of a row of test and one of train, masks of rows, whose likeness may be `threshold`.

    A row of train is compared with the `BEFORE` rows of test on either side of it among those that share a band.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, first in shelved:
        tests, place = np.flatnonzero(test[rows]), np.flatnonzero(train[rows])
        if not len(tests):
            continue
        behind = np.searchsorted(tests, place)
        for step in range(-BEFORE, BEFORE):
            other = tests[np.clip(behind + step, 0, len(tests) - 1)]
            together = first[other] == first[place]
            pairs = np.sort(np.stack([rows[other], rows[place]], axis=1)[together], axis=1)
            found.append(pairs[alike(signed[pairs[:, 0]], signed[pairs[:, 1]]) >= threshold - SLACK])
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
    """Return those of `pairs` whose texts have a likeness of at least `threshold`."""
    kept = [likeness(text(a), text(b)) >= threshold for a, b in pairs.tolist()]
    return pairs[np.array(kept, bool)]
