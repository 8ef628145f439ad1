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

TOKENS = 2048  # that a CPU takes at once, at most
DEEPSPEED = Path("profiles/deepspeed")


def steps_of(train: Train, rows: int) -> int:
    """Return the steps of a training on `rows` packed rows."""
    return train.max_steps or math.ceil(train.epochs * rows / train.global_batch)


def _rows_at_once(job: TrainingJob) -> int:
    """Return how many rows a process takes at once, unless the environment says: on a CPU as many as make `TOKENS`.

    Few rows keep the threads of a CPU waiting for one another. On a GPU rows side by side would need a mask.
    """
    import torch

    from alloy.training.packed_attention import fits

    share, rest = divmod(job.train.global_batch, distributed.world())
    if torch.cuda.is_available() or not fits(job.config) or rest or not share:
        return 1
    most = max(TOKENS // job.train.max_length, 1)
    return max(rows for rows in range(1, share + 1) if share % rows == 0 and rows <= most)


def arguments_of(job: TrainingJob, rows: int) -> "TrainingArguments":
    """Return the Trainer's arguments for training on `rows` packed rows; with several processes, join them."""
    import torch
    from transformers import TrainingArguments

    from alloy.training.optimizer import BETAS

    train, gpu = job.train, torch.cuda.is_available()
    device_rows, accumulated = distributed.accumulation(train.global_batch, job.section, _rows_at_once(job))
    if train.deepspeed:
        distributed.alone()
    with redirect_stdout(io.StringIO()):  # DeepSpeed prints that it has built its parts
        arguments = TrainingArguments(
            output_dir="unused",  # until the place of this training is held
            seed=job.seed,
            learning_rate=train.lr,
            # Rows come in one stream over all epochs, see `Rounds`.
            max_steps=steps_of(train, rows),
            per_device_train_batch_size=device_rows,
            gradient_accumulation_steps=accumulated,
            lr_scheduler_type=train.schedule.value,
            warmup_steps=train.warmup,
            weight_decay=train.weight_decay,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            use_cpu=not gpu,  # else processes without GPUs would not find one another
            bf16=gpu,
            deepspeed=str(DEEPSPEED / f"{train.deepspeed.value}.json") if train.deepspeed else None,
            gradient_checkpointing=train.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False} if train.gradient_checkpointing else None,
            use_liger_kernel=train.liger,
            # Logits are few (completions only) and their loss is wanted by token, which the fused loss does not give.
            liger_kernel_config={"fused_linear_cross_entropy": False, "cross_entropy": False} if train.liger else None,
            ddp_find_unused_parameters=False,
            remove_unused_columns=False,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to="none",
            save_strategy="no",  # `Checkpoints` says when
            disable_tqdm=True,
            dataloader_pin_memory=gpu,
        )
        if train.deepspeed:
            from deepspeed import init_distributed

            init_distributed()  # now, where what it prints is kept back
    assert arguments.world_size == distributed.world(), "the processes have not found one another"
    return arguments
