"""Near-duplicates: similarity, signatures as of datasketch, and candidates that miss almost no pair."""

import random
from itertools import combinations

import numpy as np
import pytest
from datasketch import MinHash

from alloy.core.text import fold_text
from alloy.splitting.near_duplicates import (
    HASH_FACTOR,
    PERMUTATIONS,
    are_near_duplicates,
    compute_jaccard_similarity,
    compute_minhash_signatures,
    differ_in_one_word,
    estimate_similarity,
    find_candidates,
    find_cross_candidates,
    hash_halves,
    make_buckets,
    remove_seen_pairs,
    select_near_duplicates,
    shingle_text,
)
from shared_data import read_shared_rows

SENTENCE = "the pairing of my lamp fails since the last update, and nobody at the counter knew what to do about it"


def list_byte_windows(text: str) -> set[bytes]:
    data = text.encode()
    return {data[start : start + 5] for start in range(len(data) - 4)}


def compute_datasketch_signature(text: str) -> np.ndarray:
    """Return the signature that the library datasketch computes from the same 32-bit values."""
    values = [(window * int(HASH_FACTOR) % 2**64) >> 32 for window in shingle_text(text).tolist()]
    signature = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda value: value)
    signature.update_batch(values)
    return signature.hashvalues


def find_near_duplicates(texts: list[str], threshold: float = 0.8) -> set[tuple[int, int]]:
    signatures = compute_minhash_signatures(texts)
    pairs = select_near_duplicates(
        find_candidates(signatures, make_buckets(signatures, hash_halves(texts), threshold)),
        threshold,
        texts.__getitem__,
    )
    return {(a, b) for a, b in pairs.tolist()}


SCRIPTS = {
    "Latin": "the lamp",
    "accents": "größe: ¡señal!",
    "Chinese": "価格は安い",
    "Arabic": "مفتاح الباب",
    "signs": "👍👍 5 €",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_the_shingles_are_all_windows_of_five_bytes(text: str) -> None:
    data = text.encode()
    expected = [int.from_bytes(data[start : start + 5], "little") for start in range(len(data) - 4)]
    assert shingle_text(text).tolist() == expected


@pytest.mark.parametrize("text", ["", "a", "abc", "abcd", "鍵"])
def test_a_text_under_five_bytes_is_one_shingle(text: str) -> None:
    assert shingle_text(text).tolist() == [int.from_bytes(text.encode(), "little")]


@pytest.mark.parametrize(
    ("first", "second"), list(combinations([SENTENCE, SENTENCE[9:], SENTENCE[:40], *SCRIPTS.values()], 2))
)
def test_similarity_is_the_share_of_common_shingles(first: str, second: str) -> None:
    assert (
        compute_jaccard_similarity(first, second)
        == len(list_byte_windows(first) & list_byte_windows(second))
        / len(list_byte_windows(first) | list_byte_windows(second))
        == compute_jaccard_similarity(second, first)
    )


@pytest.mark.parametrize("text", ["", "ab", SENTENCE, *SCRIPTS.values()])
def test_a_text_has_similarity_1_to_itself_and_0_to_another(text: str) -> None:
    assert compute_jaccard_similarity(text, text) == 1
    assert compute_jaccard_similarity(text, "zzzzzz") == 0


def test_signatures_equal_datasketch() -> None:
    texts = ["", "ab", SENTENCE, SENTENCE * 50, *SCRIPTS.values()]
    signatures = compute_minhash_signatures(texts)
    assert signatures.shape == (len(texts), PERMUTATIONS)
    for row, text in zip(signatures, texts, strict=True):
        assert row.tolist() == compute_datasketch_signature(text).tolist()


def test_no_text_has_no_signature() -> None:
    assert compute_minhash_signatures([]).shape == (0, PERMUTATIONS)


def test_equal_entries_of_two_signatures_estimate_the_similarity() -> None:
    words = SENTENCE.split()
    for removed in (1, 3, 6, 10):
        first, second = " ".join(words), " ".join(words[removed:])
        signatures = compute_minhash_signatures([first, second], 1024)
        assert (
            abs(estimate_similarity(signatures[:1], signatures[1:])[0] - compute_jaccard_similarity(first, second))
            < 0.05
        )  # three deviations at most


def test_a_long_text_with_one_changed_word_is_a_near_duplicate() -> None:
    assert find_near_duplicates(
        [SENTENCE, "something else altogether, about a door", SENTENCE.replace("lamp", "lock")]
    ) == {(0, 2)}


def test_a_pair_has_the_smaller_index_first() -> None:
    texts = [SENTENCE + tail for tail in ("", ".", "!", " so")]
    assert find_near_duplicates(texts)
    assert all(a < b for a, b in find_near_duplicates(texts))


def test_pairs_of_earlier_texts_stay_when_others_are_added() -> None:
    rng = random.Random(0)
    words = SENTENCE.split()
    texts = [" ".join([*words, *rng.choices(words, k=3)]) for _ in range(300)]
    earlier_pairs, pairs = find_near_duplicates(texts[:150]), find_near_duplicates(texts)
    assert earlier_pairs
    assert earlier_pairs == {(a, b) for a, b in pairs if b < 150}


def replace_word(words: list[str], index: int, by: str) -> list[str]:
    return [*words[:index], by, *words[index + 1 :]]


def test_almost_all_texts_similar_to_the_first_are_found() -> None:
    words = (SENTENCE + " " + SENTENCE[::-1]).split()
    stars = []
    for at in range(0, len(words) - 2, 3):
        star = words
        for index in (at, at + 1, at + 2):
            star = replace_word(star, index, f"x{index}x{index}")
        stars.append(" ".join(star))
    assert compute_jaccard_similarity(" ".join(words), stars[3]) > 0.8 > compute_jaccard_similarity(stars[1], stars[3])
    expected = {
        (0, index) for index, star in enumerate(stars, 1) if compute_jaccard_similarity(" ".join(words), star) >= 0.8
    }
    assert len(expected) > 10
    assert len(expected - find_near_duplicates([" ".join(words), *stars])) <= 1


def test_all_texts_similar_to_the_previous_text_are_found() -> None:
    words, chain = (SENTENCE + " " + SENTENCE[::-1]).split(), []
    for step in range(2 * len(words)):
        words = replace_word(words, step * 5 % len(words), f"z{step}z")
        chain.append(" ".join(words))
    assert compute_jaccard_similarity(chain[0], chain[40]) < 0.3
    assert {(index, index + 1) for index in range(len(chain) - 1)} <= find_near_duplicates(chain)


EIGHT_WORDS = "my lamp is off and nobody knows why"


@pytest.mark.parametrize("index", range(8))
def test_a_short_text_with_any_word_changed_is_found_for_any_similarity(index: int) -> None:
    text = " ".join(replace_word(EIGHT_WORDS.split(), index, "zeppelins"))
    assert compute_jaccard_similarity(EIGHT_WORDS, text) < 0.8
    assert find_near_duplicates([EIGHT_WORDS, SENTENCE, text]) == {(0, 2)}


DIFFERENT_TEXTS = {
    "two words changed": " ".join(replace_word(replace_word(EIGHT_WORDS.split(), 0, "your"), 7, "how")),
    "a word added": f"{EIGHT_WORDS} really",
    "a word removed": EIGHT_WORDS.removeprefix("my "),
    "words in another order": " ".join(reversed(EIGHT_WORDS.split())),
}


@pytest.mark.parametrize("text", DIFFERENT_TEXTS.values(), ids=DIFFERENT_TEXTS)
def test_a_short_text_that_differs_in_more_than_one_word_is_not_a_near_duplicate(text: str) -> None:
    assert not differ_in_one_word(EIGHT_WORDS, text)
    assert find_near_duplicates([EIGHT_WORDS, text]) == (
        {(0, 1)} if compute_jaccard_similarity(EIGHT_WORDS, text) >= 0.8 else set()
    )


def test_a_changed_word_does_not_count_in_texts_of_fewer_words() -> None:
    seven = EIGHT_WORDS.removesuffix(" why")
    assert not hash_halves([seven]).any()
    assert find_near_duplicates([seven, seven.replace("lamp", "lock")]) == set()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_texts_have_no_pair(count: int) -> None:
    assert find_near_duplicates([SENTENCE] * count) == set()


@pytest.mark.parametrize("name", ["cfpb_voc/cfpb_voc", "mams/mams"])
def test_almost_all_near_duplicates_among_real_texts_are_found(name: str) -> None:
    texts = list(dict.fromkeys(fold_text(row["text"]) for row in read_shared_rows(name, 400)))
    rng = random.Random(0)
    for text in rng.sample(texts, 100):  # most real pairs are of this kind: the same letter was sent twice
        words = text.split()
        words[rng.randrange(len(words))] = "zeppelin"
        texts.append(" ".join(words))
    sets = [frozenset(shingle_text(text).tolist()) for text in texts]
    expected = {
        (a, b)
        for (a, first), (b, second) in combinations(enumerate(sets), 2)
        if (0.8 <= len(first) / len(second) <= 1.25 and len(first & second) >= 0.8 * len(first | second))
        or differ_in_one_word(texts[a], texts[b])
    }
    pairs = find_near_duplicates(texts)
    assert len(expected) >= 60
    assert pairs <= expected
    assert len(pairs) >= 0.97 * len(expected)


def test_cross_candidates_are_found_before_and_after_a_row() -> None:
    rng = random.Random(0)
    template = [f"word{number}" for number in range(30)]
    texts = []
    for _ in range(300):
        words = list(template)
        words[rng.randrange(30)] = f"other{rng.randrange(99)}"
        texts.append(" ".join(words))
    signatures = compute_minhash_signatures(texts)
    test = np.arange(300) % 5 == 0
    buckets = make_buckets(signatures, hash_halves(texts), 0.8)
    pairs = select_near_duplicates(find_cross_candidates(signatures, buckets, test, ~test), 0.8, texts.__getitem__)
    similar = {int(b if test[a] else a) for a, b in pairs}
    expected = {
        b
        for b in range(300)
        if not test[b] and any(are_near_duplicates(texts[a], texts[b], 0.8) for a in range(0, 300, 5))
    }
    assert len(similar & expected) >= 0.97 * len(expected) > 200


def test_seen_pairs_are_removed() -> None:
    pairs, seen = np.array([[0, 1], [2, 9], [1, 3]]), np.array([[1, 3], [0, 2]])
    assert remove_seen_pairs(pairs, seen).tolist() == [[0, 1], [2, 9]]
    assert remove_seen_pairs(seen[:0], seen).tolist() == []
