"""How much time, memory and money a training takes, estimated from lengths of examples before anything trains.

FLOPs and memory are those of `alloy/training/cost.py`. How fast they are done:

- On the CPU, matrix products of the size of the model's are timed for a moment. Training reaches about `CPU_SHARE` of
  their speed: where two cores multiply at 122 GFLOP/s, the demo's model trained at 0.66 of it (10,582 tokens per
  second) and SmolLM2-135M at 0.57 (99).
- A GPU reaches `MFU`, an assumed 40 % of its peak.
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

CPU_SHARE = 0.6
SECONDS = 0.5  # of timing matrix products
SPARE = 2 * 2**30  # bytes that CUDA and fragmentation take beside the estimate
DEVICES = (1, 2, 4, 8, 16, 32)  # how many GPUs are tried until the training fits


@dataclass(frozen=True)
class Gpu:
    """A GPU for rent; `name` as torch begins it. Prices are assumed, not looked up: about what clouds ask in 2026."""

    name: str
    gigabytes: int
    dollars: float  # per hour

    @property
    def title(self) -> str:
        """The name with memory and price, as the table shows it."""
        return f"{self.name}, {self.gigabytes} GB, ${self.dollars:.2f} per hour"


GPUS = (Gpu("L4", 24, 0.80), Gpu("H100", 80, 3.00), Gpu("H200", 141, 4.00))  # the prices in the headers of profiles/


@dataclass(frozen=True)
class Lengths:
    """Examples as training counts them: how many, their tokens, the sum of squared tokens, tokens with a loss."""

    examples: float = 0.0
    tokens: float = 0.0
    squares: float = 0.0
    loss_tokens: float = 0.0

    @classmethod
    def sum_up(cls, counts: np.ndarray, times: float = 1.0) -> "Lengths":
        """Return the sums of (n, 2) tokens and loss tokens, each example counted so many `times`."""
        tokens = counts[:, 0].astype(np.float64)
        sums = (len(tokens), tokens.sum(), (tokens**2).sum(), counts[:, 1].sum())
        return cls(*(float(value) * times for value in sums))

    def scale(self, factor: float) -> "Lengths":
        """Return as many times the same examples."""
        return Lengths(*(factor * value for value in self.values()))

    def add(self, other: "Lengths") -> "Lengths":
        """Return both together."""
        return Lengths(*map(sum, zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[float, float, float, float]:
        """Return the four sums."""
        return self.examples, self.tokens, self.squares, self.loss_tokens

    def get_amount(self, unit: Unit) -> float:
        """Return how much it is in the unit of the mix."""
        return {Unit.examples: self.examples, Unit.tokens: self.tokens, Unit.loss_tokens: self.loss_tokens}[unit]


def estimate_mix(mix: Mix, customer: Lengths, general: Lengths) -> tuple[Lengths, float]:
    """Return the lengths of a mix of customer and general examples, and the amount of general rows that it asks for.

    Drawn general examples are assumed to have the mean length of all general examples.
    """
    whole = customer.get_amount(mix.unit)
    wanted, asked = compute_targets(mix.ratio, round(whole), mix.total)
    needed = general.get_amount(mix.unit) if asked is None else float(asked)
    part = customer.scale(wanted / whole if whole else 0.0)
    general_amount = general.get_amount(mix.unit)
    return part.add(general.scale(needed / general_amount if general_amount else 0.0)), needed


def count_epochs(train: Train, epoch: Lengths) -> float:
    """Return how many times a training goes through the examples; packed rows are taken to be full."""
    if train.max_steps is None:
        return train.epochs
    rows = math.ceil(epoch.tokens / train.max_length) if train.packing else epoch.examples
    return train.max_steps * train.global_batch / max(rows, 1)


@dataclass(frozen=True)
class Cost:
    """A training on one kind of machine: `devices` of them, None if it does not fit; seconds, bytes, dollars."""

    title: str
    devices: int | None
    seconds: float | None = None
    memory: int | None = None
    dollars: float | None = None


def count_flops(config: Any, train: Train, seen: Lengths) -> float:  # noqa: ANN401 (of the model's own class)
    """Return the model FLOPs of a training that sees these examples."""
    return count_training_flops(config, seen.tokens, seen.squares, seen.loss_tokens, train.method)


def estimate_costs_on_gpus(config: Any, train: Train, flops: float) -> list[Cost]:  # noqa: ANN401
    """Return the cost on each of `GPUS`, on as few as hold the training."""
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
    """Return how many GPUs hold a training, or None; `needed` keeps the bytes of each by their number."""
    for count in DEVICES:
        if train.global_batch % count or (count > 1 and train.deepspeed is None):
            continue  # without DeepSpeed more GPUs do not lower the memory of each
        if count not in needed:
            needed[count] = estimate_memory(config, train, count, 1, gpu=True)["total"]
        if needed[count] + SPARE <= gpu.gigabytes * 10**9:
            return count
    return None


def count_devices_here() -> int:
    """Return the number of GPUs of this machine, 1 for the processor."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 1


def estimate_memory_here(config: Any, train: Train) -> tuple[int, int]:  # noqa: ANN401
    """Return the bytes that a training takes on this machine, on each GPU or in memory, and those that there are."""
    import psutil
    import torch

    if torch.cuda.is_available():
        available = torch.cuda.mem_get_info()[1]
        return estimate_memory(config, train, count_devices_here(), 1, gpu=True)["total"], available
    rows = min(max(CPU_TOKENS // train.max_length, 1), train.global_batch)
    return estimate_memory(config, train, 1, rows, gpu=False)["total"], psutil.virtual_memory().total


def measure_speed_here(config: Any) -> tuple[float | None, str]:  # noqa: ANN401
    """Return the FLOP/s that training reaches on this machine, None for a GPU that is not known, and the basis."""
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

    1. Multiply on one thread for `SECONDS`, and keep the fastest product. It is timed by the processor time of the
       thread, since the wall clock would include the time of other programs.
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
    while time.perf_counter() - begun < SECONDS:
        start = time.thread_time()
        torch.matmul(left, right)
        fastest = min(fastest, time.thread_time() - start)
    torch.set_num_threads(threads)
    return threads * 2 * CPU_TOKENS * hidden * inner / fastest
