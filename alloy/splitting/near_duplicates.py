"""Near-duplicate texts: texts that share most of their shingles, or that differ in one word.

The similarity of two texts is the Jaccard similarity of their shingles, which are all windows of five bytes: the number
of shingles that both have, divided by the number that at least one of them has. This needs no language and no word
boundaries. Texts are passed in as `fold_text` (alloy/core/text.py) returns them.

A changed word in a short text changes many of its shingles. So two texts of `MIN_WORDS` words or more are also
near-duplicates if they differ in one word only.

Algorithm:

1. Compute a MinHash signature of each text (`compute_minhash_signatures`). The fraction of equal entries of two
   signatures estimates the Jaccard similarity of the texts.
2. Locality-sensitive hashing (`make_buckets`): cut each signature into bands of `BAND_ROWS` entries. Texts with an
   equal band share a bucket. Texts whose first or last half of words is the same also share a bucket: one changed
   word leaves the other half as it was.
3. Pair each text with some others in its buckets, and keep the pairs whose estimated similarity is high enough
   (`find_candidates`, `find_cross_candidates`).
4. Compare the texts of each remaining pair exactly (`select_near_duplicates`).

Example: at a threshold of 0.8, "my lamp is off and nobody knows why" and "my lock is off and nobody knows why" are
near-duplicates. Their similarity is below 0.8, but they have eight words and differ in one.

Sources: A. Broder, "On the resemblance and containment of documents", 1997 (MinHash); P. Indyk and R. Motwani,
"Approximate nearest neighbors", 1998 (locality-sensitive hashing). The permutations are those of the library
datasketch. Its own class takes a Python list per text, and its index a dictionary per band. The arrays here give the
same signatures (tests/splitting/test_near_duplicates.py) in less time and memory.
"""

from collections.abc import Callable, Iterable
from operator import ne
from typing import NamedTuple

import numpy as np

from alloy.core.text import hash_to_uint64

PERMUTATIONS, BAND_ROWS = 32, 4  # 8 bands: texts of similarity 0.8 share at least one with probability 0.985
SLACK = 0.25  # allowed error of an estimated similarity; its standard deviation is 0.07 at a similarity of 0.8
SHINGLE_MASK = np.uint64(2**40 - 1)  # five bytes
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, Knuth's multiplicative hashing
NEIGHBORS = 8  # rows of a bucket before a row that it is compared with
MIN_WORDS = 8  # of a text that may differ from another one in one word

Pairs = np.ndarray  # (pairs, 2) of row indices, the smaller index first


class Buckets(NamedTuple):
    """The buckets of one band, or of one half: groups of texts with the same key.

    `rows` has the row indices of all texts that share a bucket, bucket by bucket. `starts` has, for each entry of
    `rows`, the index in `rows` at which its bucket starts. Pairs whose estimated similarity is below `min_similarity`
    are dropped.

    Example: if rows 2 and 5 share a bucket and rows 1, 3 and 4 another one, `rows` may be [2, 5, 1, 3, 4], and
    `starts` is then [0, 0, 2, 2, 2].
    """

    rows: np.ndarray
    starts: np.ndarray
    min_similarity: float


def shingle_text(text: str) -> np.ndarray:
    """Return all windows of five bytes of `text`, in order, as numbers in uint64.

    A text of fewer than five bytes has one window, which is padded with zeros.
    """
    data = text.encode().ljust(5, b"\0") + b"\0\0\0"
    count = len(data) - 7
    return np.ndarray(count, "<u8", data, strides=(1,)) & SHINGLE_MASK


def compute_jaccard_similarity(a: str, b: str) -> float:
    """Return the Jaccard similarity of the shingles of two texts, from 0 to 1."""
    shingles_a, shingles_b = set(shingle_text(a).tolist()), set(shingle_text(b).tolist())
    return len(shingles_a & shingles_b) / len(shingles_a | shingles_b)


def compute_minhash_signatures(texts: Iterable[str], permutations: int = PERMUTATIONS) -> np.ndarray:
    """Return the MinHash signatures of texts, (texts, permutations) in uint32.

    The fraction of equal entries of two signatures estimates the Jaccard similarity of the texts.

    1. Hash each shingle of each text to 32 bits.
    2. For each permutation, map all hashes; the smallest one of a text is its entry in the signature.
    """
    shingles = [shingle_text(text) for text in texts]
    if not shingles:
        return np.empty((0, permutations), np.uint32)
    hashes = _finalize_hashes(((np.concatenate(shingles) * HASH_FACTOR) >> np.uint64(32)).astype(np.uint32))
    starts = np.cumsum([0, *map(len, shingles[:-1])])
    maps = zip(*_draw_permutations(permutations), strict=True)
    return np.stack([np.minimum.reduceat(factor * hashes + offset, starts) for factor, offset in maps], axis=1)


def _draw_permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return factors and offsets of the maps h -> factor * h + offset modulo 2**32, drawn as datasketch draws them.

    Each map is a permutation of the 32-bit numbers, because its factor is odd.
    """
    random = np.random.RandomState(1)
    factors = random.randint(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, random.randint(0, 2**32, count, dtype=np.uint32)


def _finalize_hashes(hashes: np.ndarray) -> np.ndarray:
    """Return the finalizer of MurmurHash3 of each number, as datasketch applies it before its permutations."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def hash_halves(texts: Iterable[str]) -> np.ndarray:
    """Return hashes of the first and the last half of the words of each text, (texts, 2) in uint64.

    A text of fewer than `MIN_WORDS` words has 0, 0. The hash includes the number of words, since texts that differ in
    one word have equally many.
    """
    return np.array([_hash_text_halves(text) for text in texts], np.uint64).reshape(-1, 2)


def _hash_text_halves(text: str) -> tuple[int, int]:
    words = text.split(" ")
    if len(words) < MIN_WORDS:
        return 0, 0
    count, middle = len(words), len(words) // 2
    return hash_to_uint64(f"{count} {' '.join(words[:middle])}"), hash_to_uint64(f"{count} {' '.join(words[middle:])}")


def make_buckets(signatures: np.ndarray, halves: np.ndarray, threshold: float) -> list[Buckets]:
    """Return the buckets of each band of the signatures, and those of the first and the last halves.

    Pairs from bands must have an estimated similarity of at least `threshold` - `SLACK`. Pairs from halves may have
    any, since one word may make up most of a short text.
    """
    all_rows, long_enough = np.arange(len(signatures)), np.flatnonzero(halves[:, 0])
    bands = [_group_by_key(all_rows, keys, threshold - SLACK) for keys in compute_band_keys(signatures, BAND_ROWS)]
    return bands + [_group_by_key(long_enough, keys, 0.0) for keys in halves[long_enough].T]


def _group_by_key(rows: np.ndarray, keys: np.ndarray, min_similarity: float) -> Buckets:
    """Return the buckets of `rows` with equal `keys`; rows whose key no other row has are left out."""
    order = np.argsort(keys, kind="stable")
    is_first = np.ones(len(keys), bool)  # of the rows with its key
    is_first[1:] = np.diff(keys[order]) != 0
    shared = ~(is_first & np.append(is_first[1:], True)[: len(is_first)])
    starts = np.maximum.accumulate(np.where(is_first[shared], np.arange(shared.sum()), 0))
    return Buckets(rows[order[shared]], starts, min_similarity)


def find_candidates(signatures: np.ndarray, buckets: list[Buckets]) -> Pairs:
    """Return the pairs of rows that may be near-duplicates.

    Each row is compared with the first row of its bucket, and with the `NEIGHBORS` rows before it. So the cost grows
    with the number of rows, not of pairs, and rows that are added at the end change no pair of earlier rows.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, starts, min_similarity in buckets:
        index = np.arange(len(rows))
        for earlier in (starts, *(np.maximum(index - step, starts) for step in range(1, NEIGHBORS + 1))):
            pairs = np.stack([rows[earlier], rows], axis=1)[earlier != index]
            found.append(_keep_similar(signatures, pairs, min_similarity))
    return np.unique(np.concatenate(found), axis=0)


def find_cross_candidates(
    signatures: np.ndarray, buckets: list[Buckets], is_test: np.ndarray, is_train: np.ndarray
) -> Pairs:
    """Return the pairs of a test row and a training row that may be near-duplicates; the masks have one entry per row.

    Each training row is compared with up to `NEIGHBORS` test rows of its bucket before it, and as many after it.
    """
    found = [np.empty((0, 2), np.int64)]
    for rows, starts, min_similarity in buckets:
        tests, index = np.flatnonzero(is_test[rows]), np.flatnonzero(is_train[rows])
        if not len(tests):
            continue
        next_test = np.searchsorted(tests, index)
        for step in range(-NEIGHBORS, NEIGHBORS):
            other = tests[np.clip(next_test + step, 0, len(tests) - 1)]
            same_bucket = starts[other] == starts[index]
            pairs = np.sort(np.stack([rows[other], rows[index]], axis=1)[same_bucket], axis=1)
            found.append(_keep_similar(signatures, pairs, min_similarity))
    return np.unique(np.concatenate(found), axis=0)


def _keep_similar(signatures: np.ndarray, pairs: Pairs, min_similarity: float) -> Pairs:
    similarity = estimate_similarity(signatures[pairs[:, 0]], signatures[pairs[:, 1]])
    return pairs[similarity >= min_similarity]


def remove_seen_pairs(pairs: Pairs, seen: Pairs) -> Pairs:
    """Return the `pairs` that are not in `seen`."""
    rows = int(max(pairs.max(initial=0), seen.max(initial=0))) + 1
    codes = np.setdiff1d(pairs @ [rows, 1], seen @ [rows, 1])  # a pair (a, b) as the number a * rows + b
    return np.stack([codes // rows, codes % rows], axis=1)


def estimate_similarity(signatures_a: np.ndarray, signatures_b: np.ndarray) -> np.ndarray:
    """Return the estimated similarity (n,) of two arrays of signatures (n, permutations), row by row."""
    return (signatures_a == signatures_b).mean(axis=1, dtype=np.float32)


def compute_band_keys(signatures: np.ndarray, size: int) -> list[np.ndarray]:
    """Return one array of keys (texts,) in uint64 per band of `size` entries; equal bands have equal keys."""
    factors = np.random.default_rng(0).integers(2**63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    bands = np.split(signatures.astype(np.uint64), signatures.shape[1] // size, axis=1)
    return [(band * factors).sum(axis=1, dtype=np.uint64) for band in bands]


def select_near_duplicates(pairs: Pairs, threshold: float, text_of: Callable[[int], str]) -> Pairs:
    """Return the `pairs` that are near-duplicates; `text_of` returns the text of a row."""
    are_near = [are_near_duplicates(text_of(a), text_of(b), threshold) for a, b in pairs.tolist()]
    return pairs[np.array(are_near, bool)]


def are_near_duplicates(a: str, b: str, threshold: float) -> bool:
    """Return whether two texts differ in one word only, or have a similarity of at least `threshold`."""
    return differ_in_one_word(a, b) or compute_jaccard_similarity(a, b) >= threshold


def differ_in_one_word(a: str, b: str) -> bool:
    """Return whether two texts of at least `MIN_WORDS` words differ in exactly one word."""
    words_a, words_b = a.split(" "), b.split(" ")
    return len(words_a) == len(words_b) >= MIN_WORDS and sum(map(ne, words_a, words_b)) == 1
