"""The report of a training run: counts, losses, speed."""

import os
import resource
from typing import Any

from alloy.core.files import Row
from alloy.formats.general import CUSTOMER
from alloy.training import distributed
from alloy.training.cost import count_parameters, count_training_flops, find_peak_flops
from alloy.training.job import TrainingJob
from alloy.training.packing import Examples, count_by_source

MAX_CURVE_POINTS = 200


def make_training_report(
    job: TrainingJob,
    examples: Examples,
    arguments: Any,  # noqa: ANN401 (TrainingArguments)
    order: list[int],
    work: list[int],
    curve: list[Row],
) -> Row:
    """Return the metrics that are the same in every run of a job.

    `order` has the indices of the rows of `examples` that the steps used. `work` has the tokens, squared lengths and
    loss tokens of these rows (the sum of `Examples.measure_work`).
    """
    return {
        "parameters": count_parameters(job.config).total,
        **_count_training_data(examples, arguments, order, work),
        "loss": next(row["loss"] for row in reversed(curve) if row["category"] == "all"),
    }


def _count_training_data(examples: Examples, arguments: Any, order: list[int], work: list[int]) -> Row:  # noqa: ANN401 (TrainingArguments)
    source = count_by_source(examples, order)
    return {
        "examples": sum(counts["examples"] for counts in source.values()),
        "dropped": examples.dropped,
        "steps": arguments.max_steps,
        "epochs": round(len(order) / len(examples.dataset), 3),
        "tokens": work[0],
        "loss_tokens": work[2],
        "source": source,
        "general_share": compute_general_share(source),
    }


def compute_general_share(source: dict[str, Row]) -> Row:
    """Return the share of general data in the data of a training run, in examples, tokens and loss tokens.

    `source` has the counts per source, as in metrics/train.json. An example counts each time that it was seen.
    """
    shares = {}
    for unit, key in (("examples", "passes"), ("tokens", "tokens"), ("loss_tokens", "loss_tokens")):
        total = sum(counts[key] for counts in source.values())
        shares[unit] = round(1 - source.get(CUSTOMER, {key: 0})[key] / total, 6)
    return shares


def measure_speed(job: TrainingJob, work: list[int], seconds: float) -> Row:
    """Return tokens per second, hours of all GPUs or cores, and peak memory of rank 0 in GiB.

    On a GPU with a known peak, also return the model FLOPs utilization (`mfu`): the share of the peak that is reached.
    """
    import torch

    tokens, squares, completions = work
    metrics: Row = {"tokens_per_second": round(tokens / seconds)}
    if not torch.cuda.is_available():
        metrics["core_hours"] = round(seconds * (os.cpu_count() or 1) / 3600, 5)
        return {**metrics, "peak_memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}
    metrics["gpu_hours"] = round(seconds * distributed.get_world_size() / 3600, 5)
    metrics["peak_memory"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if peak := find_peak_flops(torch.cuda.get_device_name()):
        flops = count_training_flops(job.config, tokens, squares, completions, job.train.method)
        metrics["mfu"] = round(flops / seconds / peak / distributed.get_world_size(), 4)
    return metrics


def make_loss_curve(history: list[dict[str, float]], categories: list[str], steps: int) -> list[Row]:
    """Return the mean loss per completion token, by category and for all, over spans of steps.

    There are at most `MAX_CURVE_POINTS` spans. Each point has the last step of its span.
    """
    span = -(-steps // MAX_CURVE_POINTS)
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
