"""What is said of a training: counts, losses, speed."""

import os
import resource
from typing import Any

from alloy.core.files import Row
from alloy.formats.general import CUSTOMER
from alloy.training import distributed
from alloy.training.cost import parameters, peak_flops, training_flops
from alloy.training.job import TrainingJob
from alloy.training.packing import Examples, seen_by_source

POINTS = 200  # of a loss curve, at most


def training_report(
    job: TrainingJob,
    examples: Examples,
    arguments: Any,  # noqa: ANN401 (TrainingArguments)
    order: list[int],
    work: list[int],
    curve: list[Row],
) -> Row:
    """Return what was trained on, which is the same in every run of the same job.

    `order` are the rows of `examples` that the steps took, `work` their sum as in `Examples.work`.
    """
    return {
        "parameters": parameters(job.config).total,
        **_counts(examples, arguments, order, work),
        "loss": next(row["loss"] for row in reversed(curve) if row["category"] == "all"),
    }


def _counts(examples: Examples, arguments: Any, order: list[int], work: list[int]) -> Row:  # noqa: ANN401 (TrainingArguments)
    source = seen_by_source(examples, order)
    return {
        "examples": sum(of["examples"] for of in source.values()),
        "dropped": examples.dropped,
        "steps": arguments.max_steps,
        "epochs": round(len(order) / len(examples.dataset), 3),
        "tokens": work[0],
        "loss_tokens": work[2],
        "source": source,
        "general_share": general_share(source),
    }


def general_share(source: dict[str, Row]) -> Row:
    """Return the share of general data among what a training saw, in each unit that a mix can be asked in.

    `source` is what metrics/train.json says of each source. An example counts each time that it was seen.
    """
    shares = {}
    for unit, key in (("examples", "passes"), ("tokens", "tokens"), ("loss_tokens", "loss_tokens")):
        whole = sum(of[key] for of in source.values())
        shares[unit] = round(1 - source.get(CUSTOMER, {key: 0})[key] / whole, 6)
    return shares


def speed(job: TrainingJob, work: list[int], seconds: float) -> Row:
    """Return tokens a second, hours of all GPUs or cores, peak memory of rank 0 in GiB, and the MFU where known."""
    import torch

    tokens, squares, completions = work
    said: Row = {"tokens_per_second": round(tokens / seconds)}
    if not torch.cuda.is_available():
        said["core_hours"] = round(seconds * (os.cpu_count() or 1) / 3600, 5)
        return {**said, "peak_memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}
    said["gpu_hours"] = round(seconds * distributed.world() / 3600, 5)
    said["peak_memory"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if peak := peak_flops(torch.cuda.get_device_name()):
        flops = training_flops(job.config, tokens, squares, completions, job.train.method)
        said["mfu"] = round(flops / seconds / peak / distributed.world(), 4)
    return said


def loss_curve(history: list[dict[str, float]], categories: list[str], steps: int) -> list[Row]:
    """Return the mean loss a completion token over spans of steps, up to `POINTS` of them, by category and for all."""
    span = -(-steps // POINTS)
    curve: list[Row] = []
    logged = [row for row in history if "loss" in row]
    for first in range(0, len(logged), span):
        rows = logged[first : first + span]
        sums = {
            name: (
                sum(row.get(f"loss/{name}", 0.0) * row.get(f"tokens/{name}", 0.0) for row in rows),
                sum(row.get(f"tokens/{name}", 0.0) for row in rows),
            )
            for name in categories
        }
        sums["all"] = (sum(loss for loss, _ in sums.values()), sum(tokens for _, tokens in sums.values()))
        curve += [
            {"step": int(rows[-1]["step"]), "category": name, "loss": round(loss / tokens, 4)}
            for name, (loss, tokens) in sums.items()
            if tokens
        ]
    return curve
