"""Train and test never share similar comments, given subsets are kept, and later comments move no earlier ones."""

import random

import numpy as np
import pytest

from alloy.splitting.assignment import FREE, LEFT_OUT, TEST, TRAIN, assign_subsets, find_copies

LOW, HIGH = 0, 2**64 - 1  # hashes that go to test and to train, at any share between


def assign_comments(keys: list[int], given_subsets: list[int], near: list[tuple[int, int]], share: float = 0.5):
    """Return the subsets of comments with these hashes, and the comments left out. Copies are paired automatically."""
    hashes = np.array(keys, np.uint64)
    copies, _ = find_copies(hashes)
    pairs = np.concatenate([copies, np.array(near, np.int64).reshape(-1, 2)])
    subsets, left_out = assign_subsets(hashes, np.array(given_subsets), pairs, share)
    assert sorted(left_out) == np.flatnonzero(subsets == LEFT_OUT).tolist(), "all left-out comments are listed"
    return subsets.tolist(), left_out


def test_copies_are_paired_with_the_first_copy() -> None:
    pairs, first = find_copies(np.array([7, 3, 7, 5, 3, 7], np.uint64))
    assert sorted(map(tuple, pairs.tolist())) == [(0, 2), (0, 5), (1, 4)]
    assert first.tolist() == [0, 1, 3]


def test_no_text_has_no_copies() -> None:
    pairs, first = find_copies(np.array([], np.uint64))
    assert (pairs.shape, first.tolist()) == ((0, 2), [])


def test_a_free_comment_goes_to_the_subset_of_its_hash() -> None:
    quarter = 2**62
    keys = [quarter - 2**12, quarter + 2**12, LOW, HIGH]
    assert assign_comments(keys, [FREE] * 4, [], 0.25)[0] == [TEST, TRAIN, TEST, TRAIN]


@pytest.mark.parametrize(("subset", "share"), [(TRAIN, 1.0), (TEST, 0.0)])
def test_a_given_subset_is_kept_for_any_hash(subset: int, share: float) -> None:
    assert assign_comments([LOW, 1, HIGH], [subset] * 3, [], share)[0] == [subset] * 3


@pytest.mark.parametrize(("first", "subset"), [(LOW, TEST), (HIGH, TRAIN)])
def test_a_free_comment_follows_an_earlier_similar_comment(first: int, subset: int) -> None:
    assert assign_comments([first, HIGH - 1, LOW + 1], [FREE] * 3, [(0, 1), (0, 2)])[0] == [subset] * 3


@pytest.mark.parametrize("subset", [TRAIN, TEST])
def test_a_free_comment_follows_an_earlier_comment_with_a_given_subset(subset: int) -> None:
    assert assign_comments([5, LOW, HIGH], [subset, FREE, FREE], [(0, 1), (0, 2)])[0] == [subset] * 3


def test_a_free_comment_follows_a_chain_of_similar_comments() -> None:
    assert assign_comments([LOW, HIGH, HIGH - 1], [FREE] * 3, [(0, 1), (1, 2)])[0] == [TEST] * 3


def test_a_free_comment_similar_to_both_subsets_is_left_out() -> None:
    subsets, left_out = assign_comments([LOW, HIGH, 5], [FREE] * 3, [(0, 2), (1, 2)])
    assert (subsets, left_out) == ([TEST, TRAIN, LEFT_OUT], {2: 1})


def test_a_given_training_comment_similar_to_a_test_comment_is_left_out() -> None:
    for given_subsets in ([TRAIN, TEST], [TEST, TRAIN]):
        subsets, left_out = assign_comments([5, 6], given_subsets, [(0, 1)])
        assert subsets == [LEFT_OUT if subset == TRAIN else TEST for subset in given_subsets]
        assert left_out == {given_subsets.index(TRAIN): given_subsets.index(TEST)}


@pytest.mark.parametrize("subset", [TRAIN, TEST])
def test_a_later_comment_moves_no_earlier_comment_to_the_other_subset(subset: int) -> None:
    before, _ = assign_comments([LOW, HIGH], [FREE] * 2, [])
    after, _ = assign_comments([LOW, HIGH, 5], [FREE, FREE, subset], [(0, 2), (1, 2)])
    assert before == [TEST, TRAIN]
    assert after == [TEST, LEFT_OUT if subset == TEST else TRAIN, TEST if subset == TEST else LEFT_OUT]


def test_a_copy_of_a_test_comment_is_left_out_in_any_order() -> None:
    for given_subsets in ([TRAIN, TEST, TRAIN], [TRAIN, TRAIN, TEST], [TEST, TRAIN, TRAIN], [FREE, TRAIN, TEST]):
        subsets, _ = assign_comments([HIGH] * 3, given_subsets, [])
        assert subsets.count(TEST) == 1
        assert TRAIN not in subsets, given_subsets


def test_a_comment_similar_to_a_training_comment_with_a_copy_in_test_is_left_out() -> None:
    # Comments 0 and 1 have the same text, and comment 2 is similar.
    subsets, left_out = assign_comments([7, 7, 9], [TRAIN, TEST, TRAIN], [(0, 2)])
    assert (subsets, left_out) == ([LEFT_OUT, TEST, LEFT_OUT], {0: 1, 2: 1})


def test_a_copy_of_a_comment_similar_to_a_test_comment_is_left_out() -> None:
    # Comments 1 and 2 have the same text, and comment 0 is similar.
    subsets, left_out = assign_comments([7, 9, 9], [TEST, TRAIN, TRAIN], [(0, 1)])
    assert (subsets, left_out) == ([TEST, LEFT_OUT, LEFT_OUT], {1: 0, 2: 0})


@pytest.mark.parametrize("key", [LOW + 1, HIGH - 1])
def test_a_copy_of_a_comment_similar_to_both_subsets_is_left_out(key: int) -> None:
    subsets, left_out = assign_comments([LOW, HIGH, key, key], [FREE] * 4, [(0, 2), (1, 2)])
    assert (subsets, left_out) == ([TEST, TRAIN, LEFT_OUT, LEFT_OUT], {2: 1, 3: 1})


def draw_comments(rng: random.Random, count: int) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Return random hashes with copies, given subsets, and near pairs of first copies."""
    pool = [rng.randrange(2**64) for _ in range(count // 2)]
    keys = [rng.choice(pool) for _ in range(count)]
    given_subsets = [rng.choice((FREE, FREE, TRAIN, TEST)) for _ in range(count)]
    first_positions = [position for position, key in enumerate(keys) if key not in keys[:position]]
    near = {tuple(sorted(rng.sample(first_positions, 2))) for _ in range(count // 3)}
    return keys, given_subsets, sorted(near)


@pytest.mark.parametrize("seed", range(60))
def test_no_training_text_is_in_test_or_similar_to_a_test_text_in_random_data(seed: int) -> None:
    keys, given_subsets, near = draw_comments(random.Random(seed), 30)
    subsets, _ = assign_comments(keys, given_subsets, near)
    train, test = ({key for key, subset in zip(keys, subsets, strict=True) if subset == side} for side in (TRAIN, TEST))
    assert not train & test
    for a, b in near:
        assert not (keys[a] in train and keys[b] in test)
        assert not (keys[b] in train and keys[a] in test)


@pytest.mark.parametrize("seed", range(60))
def test_no_comment_changes_its_subset_when_comments_are_added_in_random_data(seed: int) -> None:
    rng = random.Random(seed)
    keys, given_subsets, near = draw_comments(rng, 30)
    count = rng.randrange(1, 30)
    before, _ = assign_comments(keys[:count], given_subsets[:count], [pair for pair in near if max(pair) < count])
    after, _ = assign_comments(keys, given_subsets, near)
    pairs = list(zip(before, after, strict=False))
    assert (TRAIN, TEST) not in pairs
    assert {new for old, new in pairs if old == TEST} <= {TEST}


@pytest.mark.parametrize("seed", range(20))
def test_every_given_test_comment_stays_in_test_in_random_data(seed: int) -> None:
    keys, given_subsets, near = draw_comments(random.Random(seed), 30)
    subsets, _ = assign_comments(keys, given_subsets, near)
    assert all(subset == TEST for subset, fixed in zip(subsets, given_subsets, strict=True) if fixed == TEST)
