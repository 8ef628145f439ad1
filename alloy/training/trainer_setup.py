"""Sets up the trainer: model, adapter, optimizer, anchor."""

import copy
from typing import TYPE_CHECKING

from alloy.modeling.architecture import find_modules_outside_text
from alloy.training.job import TrainingJob
from alloy.training.packing import Examples, flatten, flatten_with_lengths
from alloy.training.settings import Method, Optimizer, Train

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

    from alloy.training.trainer import MixTrainer


def working_dtype(train: Train) -> "torch.dtype":
    """Return the dtype that weights are loaded in for training.

    On a GPU bfloat16 where a float32 copy is kept elsewhere (DeepSpeed) or none is needed (LoRA); else float32, since
    bfloat16 weights lose updates below a hundredth of them.
    """
    import torch

    half = torch.cuda.is_available() and (train.deepspeed is not None or train.method is Method.lora)
    return torch.bfloat16 if half else torch.float32


def trainer_of(job: TrainingJob, examples: Examples, arguments: "TrainingArguments") -> "MixTrainer":
    """Return the trainer of this run, with model, adapter, optimiser and anchor."""
    import torch
    from transformers import set_seed
    from transformers.trainer_callback import PrinterCallback

    from alloy.training import packed_attention
    from alloy.training.lora import attach
    from alloy.training.optimizer import muon
    from alloy.training.trainer import Anchor, MixTrainer, Rounds

    train = job.train
    set_seed(job.seed)
    model = job.model(working_dtype(train))
    for name in find_modules_outside_text(model):  # no gradient ever reaches these, and processes would wait for it
        model.get_submodule(name).requires_grad_(False)
    packed = not torch.cuda.is_available() and packed_attention.fits(model.config)
    if packed:
        packed_attention.use(model)
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
        data_collator=flatten_with_lengths if packed else flatten,
        optimizers=(muon(model, train.lr, train.weight_decay), None)
        if train.optimizer is Optimizer.muon
        else (None, None),
        order=Rounds(len(examples.dataset), arguments.max_steps * train.global_batch, job.seed),
        categories=examples.categories,
        anchor=anchor,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
