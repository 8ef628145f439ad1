"""Says before a training what memory it takes, and stops one that the device cannot hold."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from alloy.core.files import InputError
from alloy.training import distributed
from alloy.training.cost import memory, memory_line
from alloy.training.job import TrainingJob

if TYPE_CHECKING:
    from transformers import TrainingArguments


def check_memory(job: TrainingJob, arguments: "TrainingArguments") -> None:
    """Say how the global batch is made up and what memory it takes; raise where a GPU cannot hold it."""
    import psutil
    import torch

    if job.train.liger and not (torch.cuda.is_available() and find_spec("liger_kernel")):
        raise InputError(
            f"{job.section}.liger: needs a GPU and the package liger-kernel, which `make` installs where it sees one; "
            "or set it to false"
        )
    rows, steps, world = (
        arguments.per_device_train_batch_size,
        arguments.gradient_accumulation_steps,
        distributed.world(),
    )
    gpu = torch.cuda.is_available()
    estimate = memory(job.config, job.train, world, rows, gpu)
    available = torch.cuda.mem_get_info()[1] if gpu else psutil.virtual_memory().total
    print(
        f"{job.stage}: {job.train.global_batch} rows a step = {world} process{'es' * (world > 1)} x {rows} at once x "
        f"{steps} accumulated\n{job.stage}: {memory_line(estimate, available)}",
        flush=True,
    )
    if estimate["total"] > available:
        raise InputError(
            f"that is more than the {'GPU' if gpu else 'machine'} has; lower {job.section}.max_length, share it "
            f"among more by {job.section}.deepspeed: zero3, set {job.section}.gradient_checkpointing, or "
            f"{job.section}.method: lora"
        )
