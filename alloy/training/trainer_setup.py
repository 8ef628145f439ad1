"""How a training is set up: precision, optimiser, sharding, adapter, anchor."""

import copy
import io
import logging
import math
import os
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.core.scale import Method, Optimizer, Train
from alloy.training import distributed
from alloy.training.cost import memory, memory_line
from alloy.training.packing import Examples, flatten

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, TrainingArguments

    from alloy.training.trainer import MixTrainer

DEEPSPEED = Path("profiles/deepspeed")


@dataclass(frozen=True)
class Run:
    """One training of what `model` makes in the dtype that it is given; `config` is its configuration.

    `key` stands for all that goes into the result (`alloy.runtime.resume.fingerprint`); `section` is where `train` is in the
    profile; the model ends at `out`, with a README.md that `card` makes of the report. `base` is the name and revision
    under which an adapter finds its model again.
    """

    stage: str
    section: str
    key: str
    train: Train
    seed: int
    config: Any
    tokenizer: "PreTrainedTokenizerBase"
    model: "Callable[[torch.dtype], Any]"
    out: Path
    base: tuple[str, str | None] = ("", None)
    card: Callable[[Row], str] | None = None


def quiet() -> None:
    """Silence what the libraries say about one another; nothing here is the user's to mend."""
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # That DeepSpeed does the accumulation; that a tied head is not in a checkpoint.
    for name in ("DeepSpeed", "accelerate.accelerator", "transformers.trainer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it found nothing else
    # DeepSpeed calls names of torch.distributed that torch is about to take back.
    warnings.filterwarnings("ignore", r".*torch\.distributed\.\w+.* is deprecated", FutureWarning)


def steps_of(train: Train, rows: int) -> int:
    """Return the steps of a training on `rows` packed rows."""
    return train.max_steps or math.ceil(train.epochs * rows / train.global_batch)


def arguments_of(run: Run, rows: int) -> "TrainingArguments":
    """Return the Trainer's arguments for training on `rows` packed rows; with several processes, join them."""
    import torch
    from transformers import TrainingArguments

    from alloy.training.optimizer import BETAS

    train, gpu = run.train, torch.cuda.is_available()
    device_rows, accumulated = distributed.accumulation(train.global_batch, run.section)
    if train.deepspeed:
        distributed.alone()
    with redirect_stdout(io.StringIO()):  # DeepSpeed prints that it has built its parts
        arguments = TrainingArguments(
            output_dir="unused",  # until the place of this training is held
            seed=run.seed,
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


def announce(run: Run, arguments: "TrainingArguments") -> None:
    """Say how the global batch is made up and what memory it takes; raise where a GPU cannot hold it."""
    import psutil
    import torch

    if run.train.liger and not (torch.cuda.is_available() and find_spec("liger_kernel")):
        raise InputError(
            f"{run.section}.liger: needs a GPU and the package liger-kernel, which `make` installs where it sees one; "
            "or set it to false"
        )
    rows, steps, world = (
        arguments.per_device_train_batch_size,
        arguments.gradient_accumulation_steps,
        distributed.world(),
    )
    gpu = torch.cuda.is_available()
    estimate = memory(run.config, run.train, world, rows, gpu)
    available = torch.cuda.mem_get_info()[1] if gpu else psutil.virtual_memory().total
    print(
        f"{run.stage}: {run.train.global_batch} rows a step = {world} process{'es' * (world > 1)} x {rows} at once x "
        f"{steps} accumulated\n{run.stage}: {memory_line(estimate, available)}",
        flush=True,
    )
    if estimate["total"] > available:
        raise InputError(
            f"that is more than the {'GPU' if gpu else 'machine'} has; lower {run.section}.max_length, share it "
            f"among more by {run.section}.deepspeed: zero3, set {run.section}.gradient_checkpointing, or "
            f"{run.section}.method: lora"
        )


def working_dtype(train: Train) -> "torch.dtype":
    """Return the dtype that weights are loaded in for training.

    On a GPU bfloat16 where a float32 copy is kept elsewhere (DeepSpeed) or none is needed (LoRA); else float32, since
    bfloat16 weights lose updates below a hundredth of them.
    """
    import torch

    half = torch.cuda.is_available() and (train.deepspeed is not None or train.method is Method.lora)
    return torch.bfloat16 if half else torch.float32


def trainer_of(run: Run, examples: Examples, arguments: "TrainingArguments") -> "MixTrainer":
    """Return the trainer of this run, with model, adapter, optimiser and anchor."""
    import torch
    from transformers import set_seed
    from transformers.trainer_callback import PrinterCallback

    from alloy.training.lora import attach
    from alloy.training.optimizer import muon
    from alloy.training.trainer import Anchor, MixTrainer, Rounds

    train = run.train
    set_seed(run.seed)
    model = run.model(working_dtype(train))
    anchor = None
    if train.anchor:
        base = None
        if train.method is Method.full:
            base = copy.deepcopy(model).to(arguments.device, torch.bfloat16 if arguments.bf16 else None)
            base.eval().requires_grad_(False)
        anchor = Anchor(train.anchor, base)
    if train.method is Method.lora:
        model = attach(model, train.lora)
    trainer = MixTrainer(
        model=model,
        args=arguments,
        train_dataset=examples.dataset,
        data_collator=flatten,
        optimizers=(muon(model, train.lr, train.weight_decay), None)
        if train.optimizer is Optimizer.muon
        else (None, None),
        order=Rounds(len(examples.dataset), arguments.max_steps * train.global_batch, run.seed),
        categories=examples.categories,
        anchor=anchor,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
