"""The Trainer's arguments: schedule, batches, precision, sharding."""

import io
import math
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.training import distributed
from alloy.training.job import TrainingJob
from alloy.training.settings import Train

if TYPE_CHECKING:
    from transformers import TrainingArguments

CPU_TOKENS = 2048  # the largest batch of a CPU process, in tokens
DEEPSPEED = Path("profiles/deepspeed")


def count_steps(train: Train, rows: int) -> int:
    """Return the number of steps to train on `rows` packed rows."""
    return train.max_steps or math.ceil(train.epochs * rows / train.global_batch)


def _choose_device_rows(job: TrainingJob) -> int:
    """Return the default number of rows per device batch: on a CPU up to `CPU_TOKENS` tokens, on a GPU 1.

    Larger batches keep the threads of a CPU busy. On a GPU, several packed rows in a batch would need a mask.
    """
    import torch

    from alloy.training.packed_attention import supports_packed_attention

    share, rest = divmod(job.train.global_batch, distributed.get_world_size())
    if torch.cuda.is_available() or not supports_packed_attention(job.config) or rest or not share:
        return 1
    most = max(CPU_TOKENS // job.train.max_length, 1)
    return max(rows for rows in range(1, share + 1) if share % rows == 0 and rows <= most)


def make_arguments(job: TrainingJob, rows: int) -> "TrainingArguments":
    """Return the Trainer's arguments for `rows` packed rows. With several processes, also join the process group."""
    import torch
    from transformers import TrainingArguments

    from alloy.training.optimizer import BETAS

    train, gpu = job.train, torch.cuda.is_available()
    device_rows, accumulated = distributed.split_global_batch(train.global_batch, job.section, _choose_device_rows(job))
    if train.deepspeed:
        distributed.set_up_single_process()
    with redirect_stdout(io.StringIO()):  # DeepSpeed prints that it has built its extensions
        arguments = TrainingArguments(
            output_dir="unused",  # `_train_and_save` sets it
            seed=job.seed,
            learning_rate=train.lr,
            # `EpochSampler` yields the rows of all epochs.
            max_steps=count_steps(train, rows),
            per_device_train_batch_size=device_rows,
            gradient_accumulation_steps=accumulated,
            lr_scheduler_type=train.schedule.value,
            warmup_steps=train.warmup,
            weight_decay=train.weight_decay,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            use_cpu=not gpu,  # otherwise processes without GPUs would not connect
            bf16=gpu,
            deepspeed=str(DEEPSPEED / f"{train.deepspeed.value}.json") if train.deepspeed else None,
            gradient_checkpointing=train.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False} if train.gradient_checkpointing else None,
            use_liger_kernel=train.liger,
            # The fused loss does not give the loss per token. Logits are few: only those of completion tokens.
            liger_kernel_config={"fused_linear_cross_entropy": False, "cross_entropy": False} if train.liger else None,
            ddp_find_unused_parameters=False,
            remove_unused_columns=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to="none",
            save_strategy="no",  # `Checkpoints` decides when
            disable_tqdm=True,
            dataloader_pin_memory=gpu,
        )
        if train.deepspeed:
            from deepspeed import init_distributed

            init_distributed()  # here, where its output is hidden
    assert arguments.world_size == distributed.get_world_size(), "the processes are not connected"
    return arguments
