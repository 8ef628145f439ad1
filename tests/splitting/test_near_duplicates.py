"""Nearly equal texts: likeness is what it says, signatures are datasketch's, candidates miss next to nothing."""

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
    differ_in_one_word,
    estimate_similarity,
    find_candidates,
    find_cross_candidates,
    hash_halves,
    jaccard_similarity,
    make_buckets,
    minhash_signatures,
    remove_seen_pairs,
    select_near_duplicates,
    shingle_text,
)
from real import real_rows

SENTENCE = "the pairing of my lamp fails since the last update, and nobody at the counter knew what to do about it"


def five(text: str) -> set[bytes]:
    data = text.encode()
    return {data[start : start + 5] for start in range(len(data) - 4)}


def datasketch_signature(text: str) -> np.ndarray:
    """Return what the library makes of the same 32-bit values, through its public interface."""
    values = [(window * int(HASH_FACTOR) % 2**64) >> 32 for window in shingle_text(text).tolist()]
    signed = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda value: value)
    signed.update_batch(values)
    return signed.hashvalues


def found(texts: list[str], threshold: float = 0.8) -> set[tuple[int, int]]:
    signed = minhash_signatures(texts)
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
def test_the_windows_are_the_five_bytes_from_each_place_on(text: str) -> None:
    data = text.encode()
    wanted = [int.from_bytes(data[start : start + 5], "little") for start in range(len(data) - 4)]
    assert shingle_text(text).tolist() == wanted


@pytest.mark.parametrize("text", ["", "a", "abc", "abcd", "鍵"])
def test_a_text_under_five_bytes_is_one_window(text: str) -> None:
    assert shingle_text(text).tolist() == [int.from_bytes(text.encode(), "little")]


@pytest.mark.parametrize(
    ("one", "other"), list(combinations([SENTENCE, SENTENCE[9:], SENTENCE[:40], *SCRIPTS.values()], 2))
)
def test_likeness_is_the_share_of_windows_that_both_have(one: str, other: str) -> None:
    assert (
        jaccard_similarity(one, other)
        == len(five(one) & five(other)) / len(five(one) | five(other))
        == jaccard_similarity(other, one)
    )


@pytest.mark.parametrize("text", ["", "ab", SENTENCE, *SCRIPTS.values()])
def test_a_text_is_wholly_like_itself_and_not_like_nothing(text: str) -> None:
    assert jaccard_similarity(text, text) == 1
    assert jaccard_similarity(text, "zzzzzz") == 0


def test_signatures_are_those_of_datasketch() -> None:
    texts = ["", "ab", SENTENCE, SENTENCE * 50, *SCRIPTS.values()]
    signed = minhash_signatures(texts)
    assert signed.shape == (len(texts), PERMUTATIONS)
    for row, text in zip(signed, texts, strict=True):
        assert row.tolist() == datasketch_signature(text).tolist()


def test_no_text_has_no_signature() -> None:
    assert minhash_signatures([]).shape == (0, PERMUTATIONS)


def test_equal_places_of_two_signatures_estimate_the_likeness() -> None:
    words = SENTENCE.split()
    for left in (1, 3, 6, 10):
        one, other = " ".join(words), " ".join(words[left:])
        signed = minhash_signatures([one, other], 1024)
        assert (
            abs(estimate_similarity(signed[:1], signed[1:])[0] - jaccard_similarity(one, other)) < 0.05
        )  # three deviations at most


def test_one_changed_word_of_a_long_text_makes_a_pair_and_another_text_none() -> None:
    assert found([SENTENCE, "something else altogether, about a door", SENTENCE.replace("lamp", "lock")]) == {(0, 2)}


def test_a_pair_has_the_earlier_place_first() -> None:
    texts = [SENTENCE + tail for tail in ("", ".", "!", " so")]
    assert found(texts)
    assert all(a < b for a, b in found(texts))


def test_pairs_of_earlier_texts_stay_when_others_are_added() -> None:
    rng = random.Random(0)
    words = SENTENCE.split()
    texts = [" ".join([*words, *rng.choices(words, k=3)]) for _ in range(300)]
    few, many = found(texts[:150]), found(texts)
    assert few
    assert few == {(a, b) for a, b in many if b < 150}


def changed(words: list[str], place: int, by: str) -> list[str]:
    return [*words[:place], by, *words[place + 1 :]]


def test_of_many_that_are_like_the_first_and_not_each_other_next_to_none_is_missed() -> None:
    words = (SENTENCE + " " + SENTENCE[::-1]).split()
    stars = []
    for at in range(0, len(words) - 2, 3):
        other = words
        for place in (at, at + 1, at + 2):
            other = changed(other, place, f"x{place}x{place}")
        stars.append(" ".join(other))
    assert jaccard_similarity(" ".join(words), stars[3]) > 0.8 > jaccard_similarity(stars[1], stars[3])
    wanted = {(0, place) for place, star in enumerate(stars, 1) if jaccard_similarity(" ".join(words), star) >= 0.8}
    assert len(wanted) > 10
    assert len(wanted - found([" ".join(words), *stars])) <= 1


def test_of_many_that_are_each_like_the_one_before_none_is_missed() -> None:
    words, chain = (SENTENCE + " " + SENTENCE[::-1]).split(), []
    for step in range(2 * len(words)):
        words = changed(words, step * 5 % len(words), f"z{step}z")
        chain.append(" ".join(words))
    assert jaccard_similarity(chain[0], chain[40]) < 0.3
    assert {(place, place + 1) for place in range(len(chain) - 1)} <= found(chain)


EIGHT = "my lamp is off and nobody knows why"


@pytest.mark.parametrize("place", range(8))
def test_a_short_text_with_any_word_changed_is_found_whatever_its_likeness(place: int) -> None:
    other = " ".join(changed(EIGHT.split(), place, "zeppelins"))
    assert jaccard_similarity(EIGHT, other) < 0.8
    assert found([EIGHT, SENTENCE, other]) == {(0, 2)}


OTHERS = {
    "two words changed": " ".join(changed(changed(EIGHT.split(), 0, "your"), 7, "how")),
    "a word added": f"{EIGHT} really",
    "a word left out": EIGHT.removeprefix("my "),
    "words in another order": " ".join(reversed(EIGHT.split())),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_short_text_that_differs_in_more_than_one_word_is_another(other: str) -> None:
    assert not differ_in_one_word(EIGHT, other)
    assert found([EIGHT, other]) == ({(0, 1)} if jaccard_similarity(EIGHT, other) >= 0.8 else set())


def test_in_a_text_of_fewer_words_one_is_too_much_of_it() -> None:
    seven = EIGHT.removesuffix(" why")
    assert not hash_halves([seven]).any()
    assert found([seven, seven.replace("lamp", "lock")]) == set()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_texts_have_no_pair(count: int) -> None:
    assert found([SENTENCE] * count) == set()


@pytest.mark.parametrize("name", ["cfpb_voc/cfpb_voc", "mams/mams"])
def test_of_the_near_pairs_among_real_texts_next_to_none_is_missed(name: str) -> None:
    texts = list(dict.fromkeys(fold_text(row["text"]) for row in real_rows(name, 400)))
    rng = random.Random(0)
    for text in rng.sample(texts, 100):  # most real pairs are of this kind: a letter that somebody sent again
        words = text.split()
        words[rng.randrange(len(words))] = "zeppelin"
        texts.append(" ".join(words))
    sets = [frozenset(shingle_text(text).tolist()) for text in texts]
    wanted = {
        (a, b)
        for (a, one), (b, other) in combinations(enumerate(sets), 2)
        if (0.8 <= len(one) / len(other) <= 1.25 and len(one & other) >= 0.8 * len(one | other))
        or differ_in_one_word(texts[a], texts[b])
    }
    pairs = found(texts)
    assert len(wanted) >= 60
    assert pairs <= wanted
    assert len(pairs) >= 0.97 * len(wanted)


def test_of_many_texts_with_one_template_the_pairs_across_sides_are_looked_for_on_both_sides_of_a_row() -> None:
    rng = random.Random(0)
    template = [f"word{number}" for number in range(30)]
    texts = []
    for _ in range(300):
        changed = list(template)
        changed[rng.randrange(30)] = f"other{rng.randrange(99)}"
        texts.append(" ".join(changed))
    signed = minhash_signatures(texts)
    test = np.arange(300) % 5 == 0
    shelved = make_buckets(signed, hash_halves(texts), 0.8)
    pairs = select_near_duplicates(find_cross_candidates(signed, shelved, test, ~test), 0.8, texts.__getitem__)
    like = {int(b if test[a] else a) for a, b in pairs}
    wanted = {
        b
        for b in range(300)
        if not test[b] and any(are_near_duplicates(texts[a], texts[b], 0.8) for a in range(0, 300, 5))
    }
    assert len(like & wanted) >= 0.97 * len(wanted) > 200


def test_pairs_that_were_looked_at_are_not_new() -> None:
    pairs, seen = np.array([[0, 1], [2, 9], [1, 3]]), np.array([[1, 3], [0, 2]])
    assert remove_seen_pairs(pairs, seen).tolist() == [[0, 1], [2, 9]]
    assert remove_seen_pairs(seen[:0], seen).tolist() == []
