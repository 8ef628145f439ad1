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
from real import real_rows

SENTENCE = "the pairing of my lamp fails since the last update, and nobody at the counter knew what to do about it"


def byte_windows(text: str) -> set[bytes]:
    data = text.encode()
    return {data[start : start + 5] for start in range(len(data) - 4)}


def datasketch_signature(text: str) -> np.ndarray:
    """Return the signature that the library datasketch computes from the same 32-bit values."""
    values = [(window * int(HASH_FACTOR) % 2**64) >> 32 for window in shingle_text(text).tolist()]
    signed = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda value: value)
    signed.update_batch(values)
    return signed.hashvalues


def near_duplicates(texts: list[str], threshold: float = 0.8) -> set[tuple[int, int]]:
    signed = compute_minhash_signatures(texts)
    pairs = select_near_duplicates(
        find_candidates(signed, make_buckets(signed, hash_halves(texts), threshold)), threshold, texts.__getitem__
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
    ("one", "other"), list(combinations([SENTENCE, SENTENCE[9:], SENTENCE[:40], *SCRIPTS.values()], 2))
)
def test_similarity_is_the_share_of_common_shingles(one: str, other: str) -> None:
    assert (
        compute_jaccard_similarity(one, other)
        == len(byte_windows(one) & byte_windows(other)) / len(byte_windows(one) | byte_windows(other))
        == compute_jaccard_similarity(other, one)
    )


@pytest.mark.parametrize("text", ["", "ab", SENTENCE, *SCRIPTS.values()])
def test_a_text_has_similarity_1_to_itself_and_0_to_another(text: str) -> None:
    assert compute_jaccard_similarity(text, text) == 1
    assert compute_jaccard_similarity(text, "zzzzzz") == 0


def test_signatures_are_those_of_datasketch() -> None:
    texts = ["", "ab", SENTENCE, SENTENCE * 50, *SCRIPTS.values()]
    signed = compute_minhash_signatures(texts)
    assert signed.shape == (len(texts), PERMUTATIONS)
    for row, text in zip(signed, texts, strict=True):
        assert row.tolist() == datasketch_signature(text).tolist()


def test_no_text_has_no_signature() -> None:
    assert compute_minhash_signatures([]).shape == (0, PERMUTATIONS)


def test_equal_entries_of_two_signatures_estimate_the_similarity() -> None:
    words = SENTENCE.split()
    for left in (1, 3, 6, 10):
        one, other = " ".join(words), " ".join(words[left:])
        signed = compute_minhash_signatures([one, other], 1024)
        assert (
            abs(estimate_similarity(signed[:1], signed[1:])[0] - compute_jaccard_similarity(one, other)) < 0.05
        )  # three deviations at most


def test_a_long_text_with_one_changed_word_is_a_near_duplicate() -> None:
    assert near_duplicates([SENTENCE, "something else altogether, about a door", SENTENCE.replace("lamp", "lock")]) == {
        (0, 2)
    }


def test_a_pair_has_the_smaller_index_first() -> None:
    texts = [SENTENCE + tail for tail in ("", ".", "!", " so")]
    assert near_duplicates(texts)
    assert all(a < b for a, b in near_duplicates(texts))


def test_pairs_of_earlier_texts_stay_when_others_are_added() -> None:
    rng = random.Random(0)
    words = SENTENCE.split()
    texts = [" ".join([*words, *rng.choices(words, k=3)]) for _ in range(300)]
    few, many = near_duplicates(texts[:150]), near_duplicates(texts)
    assert few
    assert few == {(a, b) for a, b in many if b < 150}


def replace_word(words: list[str], index: int, by: str) -> list[str]:
    return [*words[:index], by, *words[index + 1 :]]


def test_almost_all_texts_similar_to_the_first_are_found() -> None:
    words = (SENTENCE + " " + SENTENCE[::-1]).split()
    stars = []
    for at in range(0, len(words) - 2, 3):
        other = words
        for index in (at, at + 1, at + 2):
            other = replace_word(other, index, f"x{index}x{index}")
        stars.append(" ".join(other))
    assert compute_jaccard_similarity(" ".join(words), stars[3]) > 0.8 > compute_jaccard_similarity(stars[1], stars[3])
    expected = {
        (0, index) for index, star in enumerate(stars, 1) if compute_jaccard_similarity(" ".join(words), star) >= 0.8
    }
    assert len(expected) > 10
    assert len(expected - near_duplicates([" ".join(words), *stars])) <= 1


def test_all_texts_similar_to_the_one_before_are_found() -> None:
    words, chain = (SENTENCE + " " + SENTENCE[::-1]).split(), []
    for step in range(2 * len(words)):
        words = replace_word(words, step * 5 % len(words), f"z{step}z")
        chain.append(" ".join(words))
    assert compute_jaccard_similarity(chain[0], chain[40]) < 0.3
    assert {(index, index + 1) for index in range(len(chain) - 1)} <= near_duplicates(chain)


EIGHT = "my lamp is off and nobody knows why"


@pytest.mark.parametrize("index", range(8))
def test_a_short_text_with_any_word_changed_is_found_for_any_similarity(index: int) -> None:
    other = " ".join(replace_word(EIGHT.split(), index, "zeppelins"))
    assert compute_jaccard_similarity(EIGHT, other) < 0.8
    assert near_duplicates([EIGHT, SENTENCE, other]) == {(0, 2)}


OTHERS = {
    "two words changed": " ".join(replace_word(replace_word(EIGHT.split(), 0, "your"), 7, "how")),
    "a word added": f"{EIGHT} really",
    "a word left out": EIGHT.removeprefix("my "),
    "words in another order": " ".join(reversed(EIGHT.split())),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_short_text_that_differs_in_more_than_one_word_is_no_near_duplicate(other: str) -> None:
    assert not differ_in_one_word(EIGHT, other)
    assert near_duplicates([EIGHT, other]) == ({(0, 1)} if compute_jaccard_similarity(EIGHT, other) >= 0.8 else set())


def test_a_changed_word_does_not_count_in_texts_of_fewer_words() -> None:
    seven = EIGHT.removesuffix(" why")
    assert not hash_halves([seven]).any()
    assert near_duplicates([seven, seven.replace("lamp", "lock")]) == set()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_texts_have_no_pair(count: int) -> None:
    assert near_duplicates([SENTENCE] * count) == set()


@pytest.mark.parametrize("name", ["cfpb_voc/cfpb_voc", "mams/mams"])
def test_almost_all_near_duplicates_among_real_texts_are_found(name: str) -> None:
    texts = list(dict.fromkeys(fold_text(row["text"]) for row in real_rows(name, 400)))
    rng = random.Random(0)
    for text in rng.sample(texts, 100):  # most real pairs are of this kind: a letter that somebody sent again
        words = text.split()
        words[rng.randrange(len(words))] = "zeppelin"
        texts.append(" ".join(words))
    sets = [frozenset(shingle_text(text).tolist()) for text in texts]
    expected = {
        (a, b)
        for (a, one), (b, other) in combinations(enumerate(sets), 2)
        if (0.8 <= len(one) / len(other) <= 1.25 and len(one & other) >= 0.8 * len(one | other))
        or differ_in_one_word(texts[a], texts[b])
    }
    pairs = near_duplicates(texts)
    assert len(expected) >= 60
    assert pairs <= expected
    assert len(pairs) >= 0.97 * len(expected)


def test_cross_candidates_are_found_before_and_after_a_row() -> None:
    rng = random.Random(0)
    template = [f"word{number}" for number in range(30)]
    texts = []
    for _ in range(300):
        changed = list(template)
        changed[rng.randrange(30)] = f"other{rng.randrange(99)}"
        texts.append(" ".join(changed))
    signed = compute_minhash_signatures(texts)
    test = np.arange(300) % 5 == 0
    shelved = make_buckets(signed, hash_halves(texts), 0.8)
    pairs = select_near_duplicates(find_cross_candidates(signed, shelved, test, ~test), 0.8, texts.__getitem__)
    like = {int(b if test[a] else a) for a, b in pairs}
    expected = {
        b
        for b in range(300)
        if not test[b] and any(are_near_duplicates(texts[a], texts[b], 0.8) for a in range(0, 300, 5))
    }
    assert len(like & expected) >= 0.97 * len(expected) > 200


def test_seen_pairs_are_removed() -> None:
    pairs, seen = np.array([[0, 1], [2, 9], [1, 3]]), np.array([[1, 3], [0, 2]])
    assert remove_seen_pairs(pairs, seen).tolist() == [[0, 1], [2, 9]]
    assert remove_seen_pairs(seen[:0], seen).tolist() == []
