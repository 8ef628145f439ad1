"""Estimate the time, memory and price of a training run from the lengths of its examples.

FLOPs and memory are computed by `alloy/training/cost.py`. The assumed speed is:

- CPU: `CPU_SHARE` of the measured speed of matrix products of the model's size. On two cores with 122 GFLOP/s, the
  training of the demo's model reached 0.66 of it (10,582 tokens per second), that of SmolLM2-135M 0.57 (99 tokens per
  second).
- GPU: `MFU`, an assumed 40 % of its peak.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from alloy.mixing.proportional_sampler import compute_targets
from alloy.mixing.settings import Mix, Unit
from alloy.training.arguments import CPU_TOKENS
from alloy.training.cost import MFU, count_training_flops, estimate_memory, find_peak_flops
from alloy.training.settings import Train

CPU_SHARE = 0.6  # of the speed of matrix products
TIMING_SECONDS = 0.5  # how long matrix products are timed
RESERVED_BYTES = 2 * 2**30  # for CUDA and fragmentation, in addition to the estimate
GPU_COUNTS = (1, 2, 4, 8, 16, 32)  # tried in this order until the training fits


@dataclass(frozen=True)
class Gpu:
    """A GPU that can be rented. `name` is the start of its name in torch. The price is an assumption for 2026."""

    name: str
    gigabytes: int
    dollars: float  # per hour

    @property
    def title(self) -> str:
        """The name with memory and price, for the table."""
        return f"{self.name}, {self.gigabytes} GB, ${self.dollars:.2f} per hour"


GPUS = (Gpu("L4", 24, 0.80), Gpu("H100", 80, 3.00), Gpu("H200", 141, 4.00))  # the prices in the headers of profiles/


@dataclass(frozen=True)
class ExampleTotals:
    """Sums over examples: their number, their tokens, their squared numbers of tokens, and their tokens with a loss."""

    examples: float = 0.0
    tokens: float = 0.0
    squares: float = 0.0
    loss_tokens: float = 0.0

    @classmethod
    def from_counts(cls, counts: np.ndarray, times: float = 1.0) -> "ExampleTotals":
        """Return the totals of `counts` (n, 2), the tokens and loss tokens of each example, multiplied by `times`."""
        tokens = counts[:, 0].astype(np.float64)
        sums = (len(tokens), tokens.sum(), (tokens**2).sum(), counts[:, 1].sum())
        return cls(*(float(value) * times for value in sums))

    def scale(self, factor: float) -> "ExampleTotals":
        """Return all sums multiplied by `factor`."""
        return ExampleTotals(*(factor * value for value in self.values()))

    def add(self, other: "ExampleTotals") -> "ExampleTotals":
        """Return the sums over the examples of both."""
        return ExampleTotals(*map(sum, zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[float, float, float, float]:
        """Return the four sums."""
        return self.examples, self.tokens, self.squares, self.loss_tokens

    def get_amount(self, unit: Unit) -> float:
        """Return the sum in the unit of the mix."""
        return {Unit.examples: self.examples, Unit.tokens: self.tokens, Unit.loss_tokens: self.loss_tokens}[unit]


def estimate_mix(mix: Mix, customer: ExampleTotals, general: ExampleTotals) -> tuple[ExampleTotals, float]:
    """Return the totals of a mix of customer and general examples, and the amount of general data that it needs.

    1. Compute how much of each the mix needs, in its unit (`compute_targets`).
    2. Scale the totals of each to this amount. So drawn examples are assumed to have the mean length.
    """
    whole = customer.get_amount(mix.unit)
    customer_target, general_target = compute_targets(mix.ratio, round(whole), mix.total)
    general_amount = general.get_amount(mix.unit)
    needed = general_amount if general_target is None else float(general_target)
    customer_part = customer.scale(customer_target / whole if whole else 0.0)
    return customer_part.add(general.scale(needed / general_amount if general_amount else 0.0)), needed


def count_epochs(train: Train, epoch: ExampleTotals) -> float:
    """Return the number of epochs. Packed rows are assumed to be full. `epoch`: the totals of all examples."""
    if train.max_steps is None:
        return train.epochs
    rows = math.ceil(epoch.tokens / train.max_length) if train.packing else epoch.examples
    return train.max_steps * train.global_batch / max(rows, 1)


@dataclass(frozen=True)
class Cost:
    """The cost of a training on one kind of device.

    - `devices`: number of devices; None if the training does not fit
    - `seconds`: duration; None if it is unknown
    - `memory`: bytes per device
    - `dollars`: price of renting the devices
    """

    title: str
    devices: int | None
    seconds: float | None = None
    memory: int | None = None
    dollars: float | None = None


def count_flops(config: Any, train: Train, seen: ExampleTotals) -> float:  # noqa: ANN401 (of the model's own class)
    """Return the model FLOPs of training on examples with these totals."""
    return count_training_flops(config, seen.tokens, seen.squares, seen.loss_tokens, train.method)


def estimate_costs_on_gpus(config: Any, train: Train, flops: float) -> list[Cost]:  # noqa: ANN401
    """Return the cost on each kind of GPU in `GPUS`, with the smallest number of GPUs on which the training fits."""
    needed: dict[int, int] = {}
    costs = []
    for gpu in GPUS:
        count = _count_gpus(gpu, config, train, needed)
        if count is None:
            costs.append(Cost(gpu.title, None, memory=needed[max(needed)]))
            continue
        peak = find_peak_flops(gpu.name)
        assert peak is not None  # each of GPUS has one
        seconds = flops / (MFU * peak * count)
        costs.append(Cost(gpu.title, count, seconds, needed[count], seconds * count / 3600 * gpu.dollars))
    return costs


def _count_gpus(gpu: Gpu, config: Any, train: Train, needed: dict[int, int]) -> int | None:  # noqa: ANN401
    """Return the smallest number of GPUs on which a training run fits, or None.

    `needed` caches the bytes per GPU by the number of GPUs.
    """
    for count in GPU_COUNTS:
        if train.global_batch % count or (count > 1 and train.deepspeed is None):
            continue  # without DeepSpeed, more GPUs do not reduce the memory of each
        if count not in needed:
            needed[count] = estimate_memory(config, train, count, 1, gpu=True)["total"]
        if needed[count] + RESERVED_BYTES <= gpu.gigabytes * 10**9:
            return count
    return None


def count_devices_here() -> int:
    """Return the number of GPUs of this machine, or 1 if it has none (the CPU)."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 1


def estimate_memory_here(config: Any, train: Train) -> tuple[int, int]:  # noqa: ANN401
    """Return (bytes that a training run needs, bytes available) on this machine: per GPU, or in main memory."""
    import psutil
    import torch

    if torch.cuda.is_available():
        available = torch.cuda.mem_get_info()[1]
        return estimate_memory(config, train, count_devices_here(), 1, gpu=True)["total"], available
    rows = min(max(CPU_TOKENS // train.max_length, 1), train.global_batch)
    return estimate_memory(config, train, 1, rows, gpu=False)["total"], psutil.virtual_memory().total


def measure_speed_here(config: Any) -> tuple[float | None, str]:  # noqa: ANN401
    """Return the expected FLOP/s of training on this machine, and how they were estimated. None: the GPU is unknown."""
    import torch

    if torch.cuda.is_available():
        count, name = count_devices_here(), torch.cuda.get_device_name()
        peak = find_peak_flops(name)
        return peak and MFU * peak * count, f"{count} x {name}, {MFU:.0%} of the peak"
    threads = torch.get_num_threads()
    measured = time_matrix_products(config)
    return (
        CPU_SHARE * measured,
        f"{CPU_SHARE:.0%} of the {measured / 1e9:,.0f} GFLOP/s of {threads} cores, just measured",
    )


def time_matrix_products(config: Any) -> float:  # noqa: ANN401
    """Return the float32 FLOP/s of matrix products of the model's size on all cores.

    1. Multiply on one thread for `TIMING_SECONDS`, and keep the fastest product. It is timed by the processor time of
       the thread, since the wall clock would include the time of other programs.
    2. Multiply this speed by the number of torch's threads.
    """
    import time

    import torch

    from alloy.modeling.architecture import get_text_config

    sizes = get_text_config(config)
    hidden = sizes.hidden_size
    inner = getattr(sizes, "intermediate_size", None) or 4 * hidden
    left, right = torch.ones(CPU_TOKENS, hidden), torch.ones(hidden, inner)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fastest, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < TIMING_SECONDS:
        start = time.thread_time()
        torch.matmul(left, right)
        fastest = min(fastest, time.thread_time() - start)
    torch.set_num_threads(threads)
    return threads * 2 * CPU_TOKENS * hidden * inner / fastest
