"""Sets up the trainer: model, adapter, optimizer, KL penalty."""

import copy
from typing import TYPE_CHECKING

from alloy.modeling.architecture import find_modules_outside_text
from alloy.training.job import TrainingJob
from alloy.training.packing import Examples, flatten_rows, flatten_rows_with_lengths
from alloy.training.settings import Method, Optimizer, Train

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

    from alloy.training.trainer import MixTrainer


def choose_dtype(train: Train) -> "torch.dtype":
    """Return the dtype in which weights are loaded for training.

    bfloat16 on a GPU if DeepSpeed keeps a float32 copy, or if none is needed (LoRA). Otherwise float32: in bfloat16, an
    update of less than about a hundredth of a weight is lost.
    """
    import torch

    half = torch.cuda.is_available() and (train.deepspeed is not None or train.method is Method.lora)
    return torch.bfloat16 if half else torch.float32


def make_trainer(job: TrainingJob, examples: Examples, arguments: "TrainingArguments") -> "MixTrainer":
    """Return the trainer of a job, with model, adapter, optimizer and KL penalty."""
    import torch
    from transformers import set_seed
    from transformers.trainer_callback import PrinterCallback

    from alloy.training import packed_attention
    from alloy.training.lora import attach_adapter
    from alloy.training.optimizer import make_muon
    from alloy.training.trainer import EpochSampler, KlPenalty, MixTrainer

    train = job.train
    set_seed(job.seed)
    model = job.load_model(choose_dtype(train))
    for name in find_modules_outside_text(model):  # these get no gradient, and processes would wait for one
        model.get_submodule(name).requires_grad_(False)
    packed = not torch.cuda.is_available() and packed_attention.supports_packed_attention(model.config)
    if packed:
        packed_attention.enable_packed_attention(model)
    kl_penalty = None
    if train.kl_weight:
        base = None
        if train.method is Method.full:
            base = copy.deepcopy(model).to(arguments.device, torch.bfloat16 if arguments.bf16 else None)
            base.eval().requires_grad_(False)
        kl_penalty = KlPenalty(train.kl_weight, base)
    if train.method is Method.lora:
        model = attach_adapter(model, train.lora)
    trainer = MixTrainer(
        model=model,
        args=arguments,
        train_dataset=examples.dataset,
        data_collator=flatten_rows_with_lengths if packed else flatten_rows,
        optimizers=(make_muon(model, train.lr, train.weight_decay), None)
        if train.optimizer is Optimizer.muon
        else (None, None),
        order=EpochSampler(len(examples.dataset), arguments.max_steps * train.global_batch, job.seed),
        categories=examples.categories,
        kl_penalty=kl_penalty,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
