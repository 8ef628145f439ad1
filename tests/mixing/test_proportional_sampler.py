"""A mix has the requested share of each group, whatever the sizes, and a small mix is a subset of a larger one."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from alloy.mixing.proportional_sampler import (
    TOLERANCE,
    DrawnRow,
    TooFewRowsError,
    compute_targets,
    draw_in_proportion,
    repeat_rows,
    sample_all,
    sample_total,
)

RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 0.999999]


def make_group(sizes: list[int], first: int = 0, repeat: bool = False) -> Iterator[DrawnRow]:
    return repeat_rows(enumerate(sizes, first), repeat)


def list_drawn_indices(drawn: list[DrawnRow]) -> set[tuple[int, int]]:
    return {(row.index, row.repetition) for row in drawn}


def sum_sizes(drawn: list[DrawnRow]) -> int:
    return sum(row.size for row in drawn)


def sample_one_group(sizes: list[int], target: int, repeat: bool = False) -> list[DrawnRow]:
    """Return a sample of one group."""
    return sample_total({"all": make_group(sizes, repeat=repeat)}, {"all": 1.0}, target)


def make_skewed_sizes(rng: random.Random, count: int) -> list[int]:
    """Return sizes similar to those of texts: many short, few very long."""
    return [1 + round(rng.lognormvariate(4, 1)) for _ in range(count)]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("customer", [1, 2, 7, 100, 12_345])
def test_the_ratio_is_met_within_one_row(customer: int, ratio: float) -> None:
    kept, general = compute_targets(ratio, customer, None)
    assert kept == customer
    assert general is not None
    assert abs(general - ratio * (general + customer)) < 1


@pytest.mark.parametrize("ratio", [*RATIOS, 1])
@pytest.mark.parametrize("total", [1, 2, 7, 100, 12_345])
def test_a_fixed_total_is_met_and_shared_within_one_row(total: int, ratio: float) -> None:
    customer, general = compute_targets(ratio, 50, total)
    assert general is not None
    assert customer + general == total
    assert abs(general - ratio * total) < 1


def test_at_ratio_1_the_mix_has_no_customer_rows_and_all_general_rows() -> None:
    assert compute_targets(1, 50, None) == (0, None)


@pytest.mark.parametrize("target", [0, 1, 2, 999, 1000])
def test_rows_of_size_1_are_drawn_in_order_to_the_last(target: int) -> None:
    assert [row.index for row in sample_one_group([1] * 1000, target)] == list(range(target))


def test_one_row_too_few_raises_with_the_total() -> None:
    with pytest.raises(TooFewRowsError) as caught:
        sample_one_group([1] * 1000, 1001)
    assert (caught.value.name, caught.value.total) == ("all", 1000)


@pytest.mark.parametrize("target", [20_000, 100_000, 1_000_000])
@pytest.mark.parametrize("seed", range(8))
def test_skewed_sizes_add_up_to_the_target_within_a_thousandth(seed: int, target: int) -> None:
    drawn = sample_one_group(make_skewed_sizes(random.Random(seed), 30_000), target)
    assert abs(sum_sizes(drawn) - target) <= 2 * TOLERANCE * target
    assert len(list_drawn_indices(drawn)) == len(drawn)


@pytest.mark.parametrize("seed", range(30))
def test_no_prefix_of_the_order_is_nearer_to_the_target(seed: int) -> None:
    rng = random.Random(seed)
    sizes = make_skewed_sizes(rng, 200)
    target = rng.randint(max(sizes), sum(sizes))
    prefix_sums = [sum(sizes[:count]) for count in range(len(sizes) + 1)]
    nearest = min(abs(total - target) for total in prefix_sums)
    assert abs(sum_sizes(sample_one_group(sizes, target)) - target) <= max(nearest, TOLERANCE * target)


@pytest.mark.parametrize("seed", range(30))
def test_a_mix_is_a_subset_of_any_mix_at_least_twice_as_large(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [min(size, 300) for size in make_skewed_sizes(rng, 400)]
    halves = [600 * 2**power for power in range(5)]
    samples = [list_drawn_indices(sample_one_group(sizes, target)) for target in halves if target <= sum(sizes)]
    assert len(samples) >= 5
    assert all(small <= large for small, large in pairwise(samples))


@pytest.mark.parametrize("seed", range(10))
def test_with_many_rows_a_mix_is_a_subset_of_any_larger_one(seed: int) -> None:
    sizes = make_skewed_sizes(random.Random(seed), 20_000)
    samples = [list_drawn_indices(sample_one_group(sizes, target)) for target in range(400_000, 800_000, 40_000)]
    assert all(small <= large for small, large in pairwise(samples))


def test_with_rows_of_size_1_every_mix_is_a_subset_of_every_larger_one() -> None:
    weights = {"a": 2.0, "b": 1.0, "c": 0.1}
    samples = [
        list_drawn_indices(
            sample_total({name: make_group([1] * 500, 1000 * n) for n, name in enumerate(weights)}, weights, target)
        )
        for target in range(0, 600, 7)
    ]
    assert all(small < large for small, large in pairwise(samples))


@pytest.mark.parametrize("giant", [0, 3, 30])
@pytest.mark.parametrize("size", [700, 1_900, 2_001, 10**9])
def test_a_giant_row_does_not_block_the_others(giant: int, size: int) -> None:
    sizes = [100] * 60
    sizes[giant] = size
    assert abs(sum_sizes(sample_one_group(sizes, 2_000)) - 2_000) <= 100


def test_a_group_with_a_giant_row_still_gets_its_share() -> None:
    groups = {"a": make_group([10, 10**6, *[10] * 98]), "b": make_group([10] * 100, 1000)}
    drawn = sample_total(groups, {"a": 1.0, "b": 1.0}, 1_000)
    assert sum_sizes([row for row in drawn if row.index < 1000]) == 500
    assert sum_sizes([row for row in drawn if row.index >= 1000]) == 500


@pytest.mark.parametrize(("target", "count"), [(1, 0), (499, 0), (501, 1), (1_000, 1), (1_400, 1)])
def test_a_single_row_is_drawn_if_that_is_nearer_to_the_target(target: int, count: int) -> None:
    try:
        assert len(sample_one_group([1_000], target)) == count
    except TooFewRowsError as few:
        assert (few.total, target) == (1_000, 1_400)


@pytest.mark.parametrize(("sizes", "target"), [([10] * 5 + [1_000], 500), ([100, 100, 450], 400), ([1] * 9 + [99], 30)])
def test_a_row_that_is_too_large_does_not_hide_that_there_are_too_few(sizes: list[int], target: int) -> None:
    with pytest.raises(TooFewRowsError):
        sample_one_group(sizes, target)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("target", [350, 1_234, 6_999])
def test_rows_of_equal_size_are_drawn_to_the_nearest_total(size: int, target: int) -> None:
    assert abs(sum_sizes(sample_one_group([size] * 10_000, target)) - target) <= size / 2


WEIGHTS = [
    {"a": 1.0, "b": 1.0},
    {"a": 2.0, "b": 1.0, "c": 1.0},
    {"a": 0.1, "b": 0.7, "c": 0.2},
    {"a": 1e9, "b": 3e9},
    {"a": 1e-9, "b": 2e-9, "c": 1e-9},
    {"a": 5.0, "b": 0.0},
]


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_every_prefix_of_the_order_has_the_groups_in_proportion_within_one_row(weights: dict) -> None:
    groups = {name: make_group([1] * 900, 1000 * index) for index, name in enumerate(weights)}
    counts: Counter[str] = Counter()
    for length, draw in enumerate(islice(draw_in_proportion(groups, weights), 800), 1):
        assert isinstance(draw, DrawnRow)
        counts[list(weights)[draw.index // 1000]] += 1
        for name, weight in weights.items():
            assert abs(counts[name] - length * weight / sum(weights.values())) < 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_groups_of_skewed_sizes_get_their_weights_within_their_largest_row(weights: dict, seed: int) -> None:
    rng = random.Random(seed)
    sizes = {name: [min(size, 500) for size in make_skewed_sizes(rng, 2_000)] for name in weights}
    groups = {name: make_group(sizes[name], 10_000 * index) for index, name in enumerate(weights)}
    drawn = sample_total(groups, weights, 60_000)
    assert abs(sum_sizes(drawn) - 60_000) <= 2 * TOLERANCE * 60_000
    for index, (name, weight) in enumerate(weights.items()):
        got = sum_sizes([row for row in drawn if row.index // 10_000 == index])
        assert abs(got - 60_000 * weight / sum(weights.values())) <= 500, name


def test_a_negligible_weight_leaves_its_group_out_without_harm() -> None:
    for small, large in ((1e-9, 1e9), (1e-300, 1e300)):
        drawn = sample_total(
            {"a": make_group([5] * 50), "b": make_group([5] * 1000, 1000)}, {"a": small, "b": large}, 4_000
        )
        assert {row.index // 1000 for row in drawn} == {1}
        assert sum_sizes(drawn) == 4_000


def test_a_group_that_runs_out_is_named_with_the_total() -> None:
    with pytest.raises(TooFewRowsError) as caught:
        sample_total({"a": make_group([1] * 10), "b": make_group([1] * 100, 1000)}, {"a": 1.0, "b": 3.0}, 60)
    assert caught.value.name == "a"
    assert 40 <= caught.value.total < 44


def test_an_empty_group_is_named_in_the_error() -> None:
    with pytest.raises(TooFewRowsError) as caught:
        sample_total({"a": make_group([]), "b": make_group([1] * 100)}, {"a": 1.0, "b": 1.0}, 60)
    assert caught.value.name == "a"


def test_sample_all_ends_when_a_group_runs_out() -> None:
    groups = {"a": make_group([1] * 10), "b": make_group([1] * 100, 1000)}
    drawn = sample_all(groups, {"a": 1.0, "b": 2.0})
    counts = Counter(row.index // 1000 for row in drawn)
    assert counts[0] == 10
    assert 20 <= counts[1] <= 21
    assert len(sample_all({"a": make_group([3] * 10)}, {"a": 1.0})) == 10


def test_a_row_is_repeated_only_after_all_others_and_has_its_repetition() -> None:
    drawn = sample_one_group([1] * 10, 25, repeat=True)
    assert [row.repetition for row in drawn] == [0] * 10 + [1] * 10 + [2] * 5
    assert len(list_drawn_indices(drawn)) == 25


def test_a_mix_with_repeats_starts_with_the_rows_of_a_mix_without_repeats() -> None:
    assert sample_one_group([1] * 10, 25, repeat=True)[:10] == sample_one_group([1] * 10, 10)


def test_an_empty_group_cannot_be_repeated() -> None:
    with pytest.raises(TooFewRowsError):
        sample_one_group([], 1, repeat=True)


def test_a_group_of_one_giant_row_can_be_repeated() -> None:
    assert sample_one_group([10**6], 10, repeat=True) == []
    assert len(sample_one_group([10**6], 2_600_000, repeat=True)) == 3
