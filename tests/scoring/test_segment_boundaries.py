"""Predicted contents are compared with gold contents and with their comment, word by word."""

import random
from itertools import permutations

import pytest

from alloy.formats.comments import Segment
from alloy.scoring.segment_boundaries import count_covered_words, count_shared, list_contents, measure_contents


def split_contents(*contents: str) -> list[list[str]]:
    return [content.split() for content in contents]


SHARED_WORDS = {
    "equal contents": (["a b", "c"], ["a b", "c"], (3, 3, 3)),
    "in another order": (["a b", "c"], ["c", "a b"], (3, 3, 3)),
    "a missing word": (["a b c"], ["a b"], (2, 2, 3)),
    "an extra word": (["a b"], ["a b c"], (2, 3, 2)),
    "both segments in one": (["a b", "c d e"], ["a b c d e"], (3, 5, 5)),
    "one segment in two": (["a b c d e"], ["a b", "c d e"], (3, 5, 5)),
    "a word that occurs once, quoted twice": (["a"], ["a a"], (1, 2, 1)),
    "a word that occurs twice, quoted twice": (["a b a"], ["a a c"], (2, 3, 3)),
    "no shared word": (["a"], ["b"], (0, 1, 1)),
    "no predicted content": (["a b"], [], (0, 0, 2)),
    "no gold content": ([], ["a"], (0, 1, 0)),
    "no contents": ([], [], (0, 0, 0)),
    # Taking the largest first, `a b c` with `a b c d`, would leave 0 for the rest: 3. The best is 2 + 2.
    "the best pairing is not the greedy one": (["a b c", "c d"], ["a b c d", "a b"], (4, 6, 5)),
}


@pytest.mark.parametrize(("gold", "predicted", "expected"), SHARED_WORDS.values(), ids=SHARED_WORDS)
def test_shared_words_are_counted_for_the_best_pairing(gold, predicted, expected):
    assert count_shared(split_contents(*gold), split_contents(*predicted)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_no_other_pairing_shares_more(seed):
    rng = random.Random(seed)
    gold, predicted = ([rng.choices("abcdef", k=rng.randint(1, 5)) for _ in range(4)] for _ in range(2))

    def count_common(first: list[str], second: list[str]) -> int:
        return sum(min(first.count(word), second.count(word)) for word in set(first))

    best = max(sum(map(count_common, gold, order)) for order in permutations(predicted))
    assert count_shared(gold, predicted)[0] == best


COVERED_WORDS = {  # comment, contents, (covered, covered more than once, absent)
    "all words": ("a b c", ["a b", "c"], (3, 0, 0)),
    "some words": ("a b c d", ["b c"], (2, 0, 0)),
    "a word in two contents": ("a b c", ["a b", "b c"], (3, 1, 0)),
    "a word in three contents": ("a b", ["a", "a b", "a"], (2, 1, 0)),
    "words that occur, but not next to one another": ("a b c", ["a c"], (0, 0, 1)),
    "words in another order": ("a b", ["b a"], (0, 0, 1)),
    "a part of a word": ("aa b", ["a"], (0, 0, 1)),
    "no content": ("a b", [], (0, 0, 0)),
    "a content without a word": ("a b", [""], (0, 0, 1)),
    "a comment without a word": ("", ["a"], (0, 0, 1)),
    "words that occur twice and are quoted twice": ("a b a b", ["a b", "a b"], (4, 0, 0)),
    "words that occur twice and are quoted once": ("a b a b", ["a b"], (2, 0, 0)),
    "words that occur twice and are quoted three times": ("a b a b", ["a b"] * 3, (4, 2, 0)),
    "a free occurrence is taken before one that is not": ("a b c a", ["a b c", "a"], (4, 0, 0)),
    "an occurrence that is partly covered is not free": ("a a a", ["a a", "a a"], (2, 2, 0)),
    "one repeated content, then another content": ("a a b", ["a", "a", "a", "a b"], (3, 2, 0)),
}


@pytest.mark.parametrize(("comment", "contents", "expected"), COVERED_WORDS.values(), ids=COVERED_WORDS)
def test_covered_words_are_counted(comment, contents, expected):
    assert count_covered_words(comment.split(), split_contents(*contents)) == expected


def test_a_repeated_content_covers_the_first_position_after_all_others_are_covered():
    assert count_covered_words(["a"] * 2000, [["a"]] * 3000) == (2000, 1, 0)


def test_metrics_match_a_hand_computed_example():
    texts = ["The lock jams. Nice app!", "Too dear."]
    gold = [["The lock jams", "Nice app"], ["Too dear"]]
    predicted = [["the lock", "lock jams", "broken door"], []]
    # Words: 5 + 2. Shared: of `the lock` and `lock jams` one can have the gold content of the three words:
    # 2 of 6 predicted, 2 of 7 gold. Covered are the, lock (twice) and jams.
    assert measure_contents(texts, gold, predicted) == {
        "boundaries": {"precision": 2 / 6, "recall": 2 / 7, "f1": 4 / 13},
        "coverage": 3 / 7,
        "gold_coverage": 1.0,
        "overlap": 1 / 3,
        "unquoted": 1 / 3,
    }


def test_boundaries_do_not_depend_on_labels():
    segments = (Segment(("a",), "x"), Segment(("b",)), Segment(("c",), ""))
    assert list_contents(segments) == ["x", ""]


def test_without_contents_the_metrics_are_none():
    metrics = measure_contents(["a b"], [["a"]], [[]])
    assert metrics == {"boundaries": None, "coverage": None, "gold_coverage": 0.5, "overlap": None, "unquoted": None}
    metrics = measure_contents(["a b"], [[]], [["a"]])
    assert metrics == {"boundaries": None, "coverage": 0.5, "gold_coverage": None, "overlap": 0.0, "unquoted": 0.0}


def test_contents_not_in_the_comment_cover_nothing():
    metrics = measure_contents(["a b"], [["a b"]], [["c"]])
    assert (metrics["coverage"], metrics["overlap"], metrics["unquoted"]) == (0.0, 0.0, 1.0)
    assert metrics["boundaries"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
