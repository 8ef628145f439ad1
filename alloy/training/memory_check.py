"""Estimate the memory of a training run before it starts, and stop if the device has less."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from alloy.core.files import InputError
from alloy.training import distributed
from alloy.training.cost import estimate_memory, format_memory
from alloy.training.job import TrainingJob

if TYPE_CHECKING:
    from transformers import TrainingArguments


def check_memory(job: TrainingJob, arguments: "TrainingArguments") -> None:
    """Print how the global batch is divided and the memory estimate; raise `InputError` if the device has less."""
    import psutil
    import torch

    if job.train.liger and not (torch.cuda.is_available() and find_spec("liger_kernel")):
        raise InputError(
            f"{job.section}.liger: true needs a GPU and the package liger-kernel; set {job.section}.liger: false, or "
            "run `make` on a machine with a GPU to install the package"
        )
    rows, steps, world = (
        arguments.per_device_train_batch_size,
        arguments.gradient_accumulation_steps,
        distributed.get_world_size(),
    )
    gpu = torch.cuda.is_available()
    estimate = estimate_memory(job.config, job.train, world, rows, gpu)
    available = torch.cuda.mem_get_info()[1] if gpu else psutil.virtual_memory().total
    processes = f"{world} process{'es' * (world > 1)}"
    print(
        f"{job.stage}: {job.train.global_batch} rows per step = {processes} x {rows} per batch x {steps} accumulated\n"
        f"{job.stage}: {format_memory(estimate, available)}",
        flush=True,
    )
    if estimate["total"] > available:
        raise InputError(
            f"the training needs more memory than the {'GPU' if gpu else 'machine'} has; lower "
            f"{job.section}.max_length, or set {job.section}.gradient_checkpointing: true, {job.section}.method: lora, "
            f"or {job.section}.deepspeed: zero3 with more processes"
        )
