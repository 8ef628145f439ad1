"""Time, memory and money of a training are estimated from the lengths of its examples."""

import numpy as np
import pytest

from alloy.commands.count_tokens import LONGEST, SAMPLE, CommentTokens, choose_lines
from alloy.commands.estimate_training import (
    GPUS,
    ExampleTotals,
    count_epochs,
    count_flops,
    estimate_costs_on_gpus,
    estimate_mix,
    measure_speed_here,
    time_matrix_products,
)
from alloy.mixing.settings import Budget, Mix, Unit
from alloy.training.cost import MFU, find_peak_flops
from alloy.training.settings import DeepSpeed, Train
from projects import make_dense_config

CUSTOMER = ExampleTotals(examples=100, tokens=10_000, squares=1_000_000, loss_tokens=4_000)
GENERAL = ExampleTotals(examples=1_000, tokens=50_000, squares=2_500_000, loss_tokens=10_000)


def test_lengths_are_sums_over_the_examples() -> None:
    assert ExampleTotals.from_counts(np.array([[3, 1], [4, 2]]), 2) == ExampleTotals(4, 14, 50, 6)


@pytest.mark.parametrize(
    ("mix", "needed", "examples"),
    [
        (Mix(), 0, 100),
        (Mix(ratio=0.5), 100, 200),
        (Mix(ratio=0.5, unit=Unit.tokens), 10_000, 300),
        (Mix(ratio=0.5, unit=Unit.loss_tokens), 4_000, 500),
        (Mix(ratio=0.25, budget=Budget.total, total=40), 10, 40),
        (Mix(ratio=1.0), 1_000, 1_000),
    ],
)
def test_a_mix_has_the_number_of_examples_that_its_ratio_requires(mix: Mix, needed: float, examples: float) -> None:
    epoch, requested = estimate_mix(mix, CUSTOMER, GENERAL)
    assert (requested, epoch.examples) == pytest.approx((needed, examples))


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (Train(lr=1e-4, epochs=2), 2.0),
        (Train(lr=1e-4, max_steps=5, global_batch=4, max_length=1000), 2.0),  # 10 packed rows an epoch
        (Train(lr=1e-4, max_steps=5, global_batch=4, packing=False), 0.2),
    ],
)
def test_passes_come_from_epochs_or_steps(train: Train, expected: float) -> None:
    assert count_epochs(train, CUSTOMER) == pytest.approx(expected)


def test_a_small_model_fits_every_gpu_and_costs_time_times_price() -> None:
    train = Train(lr=1e-4)
    flops = count_flops(make_dense_config(), train, CUSTOMER)
    costs = estimate_costs_on_gpus(make_dense_config(), train, flops)
    assert [cost.devices for cost in costs] == [1] * len(GPUS)
    for gpu, cost in zip(GPUS, costs, strict=True):
        seconds = flops / (MFU * (find_peak_flops(gpu.name) or 0))
        assert (cost.seconds, cost.dollars) == pytest.approx((seconds, seconds / 3600 * gpu.dollars))


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (Train(lr=1e-4, global_batch=8, deepspeed=DeepSpeed.zero3), [None, 2, 2]),
        (Train(lr=1e-4, global_batch=8), [None, None, None]),
        (Train(lr=1e-4, global_batch=7, deepspeed=DeepSpeed.zero3), [None, None, None]),
    ],
)
def test_only_distributed_training_uses_more_gpus_and_their_number_divides_the_batch(
    monkeypatch: pytest.MonkeyPatch, train: Train, expected: list[int | None]
) -> None:
    needs = {1: 300 * 10**9, 2: 70 * 10**9, 4: 60 * 10**9, 8: 50 * 10**9}
    monkeypatch.setattr(
        "alloy.commands.estimate_training.estimate_memory",
        lambda _config, _train, count, *_, gpu: {"total": needs[count]},
    )
    assert [cost.devices for cost in estimate_costs_on_gpus(make_dense_config(), train, 1e15)] == expected


def test_the_speed_of_this_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy.commands.estimate_training.TIMING_SECONDS", 0.05)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert time_matrix_products(make_dense_config()) > 1e6
    speed, basis = measure_speed_here(make_dense_config())
    assert speed is not None
    assert "GFLOP/s" in basis


def test_few_comments_are_all_counted_and_of_many_the_longest_and_a_sample() -> None:
    chosen, weight = choose_lines([5, 9, 7])
    assert (chosen.tolist(), weight.tolist()) == ([0, 1, 2], [1, 1, 1])
    sizes = list(range(100_000))
    chosen, weight = choose_lines(sizes)
    assert len(chosen) == LONGEST + SAMPLE
    assert set(range(99_500, 100_000)) <= set(chosen.tolist())
    assert weight.sum() == pytest.approx(100_000)
    assert (np.asarray(sizes)[chosen] * weight).sum() == pytest.approx(sum(sizes), rel=0.001)


def test_examples_over_the_limit_are_counted_by_their_weight() -> None:
    tokens = CommentTokens(np.array([[90, 3], [40, 2], [10, 1]]), np.array([1.0, 10.0, 10.0]), exact=False)
    assert (tokens.count_too_long(50), tokens.count_too_long(30)) == (1, 11)
    assert tokens.sum_fitting(50) == ExampleTotals(20, 500, 17_000, 30)
