"""Texts that are nearly the same: candidates by MinHash, each then compared letter by letter.

Likeness is the Jaccard index of the windows of five bytes that two texts consist of: the share of all windows that both
have. It needs no language and no word boundaries. Texts are given normalised (`stages/comments.py`).

Method: A. Broder, "On the resemblance and containment of documents" (1997), with the permutations of the library
datasketch. Its own class takes a Python list a text, and its index a dictionary a band: arrays take a quarter of the
time and a tenth of the memory, and give the same signatures.
"""

from collections.abc import Callable, Iterable

import numpy as np
from datasketch import MinHash

PERMUTATIONS, BAND = 32, 4  # at a likeness of 0.8 a pair shares one of 8 bands with probability 0.985
SLACK = 0.25  # what a signature's estimate may be off by; one standard deviation is 0.07 at likeness 0.8
MASK = np.uint64(2**40 - 1)
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, Knuth's multiplicative hashing

Pairs = np.ndarray  # (pairs, 2) of places, the smaller first


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


def candidates(signed: np.ndarray, threshold: float) -> Pairs:
    """Return the pairs of rows of `signed` whose likeness may be `threshold`.

    Rows that share a band are compared with the first of them and with the one before, so that the cost grows with the
    rows and not with their pairs.
    """
    found = [np.empty((0, 2), np.int64)]
    place = np.arange(len(signed))
    for keys in band_keys(signed, BAND):
        order = np.argsort(keys, kind="stable")
        new = np.append(True, np.diff(keys[order]) != 0)
        first = np.maximum.accumulate(np.where(new, place, 0))
        for before in (first, np.maximum(place - 1, first)):
            pairs = np.stack([order[before], order], axis=1)[before != place]
            found.append(pairs[alike(signed[pairs[:, 0]], signed[pairs[:, 1]]) >= threshold - SLACK])
    return np.unique(np.concatenate(found), axis=0)


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
