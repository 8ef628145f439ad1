"""Estimate what training costs, and check that it can work on this machine."""

from alloy.commands.check_state import Inputs
from alloy.core.files import InputError
from alloy.mixing.settings import Mix, Unit
from alloy.training.settings import Model, Train

UNSEEN = 0.95  # of an epoch: a training run that ends earlier gets a warning


def estimate_cost(inputs: Inputs) -> None:
    """Estimate the training on this machine and on GPUs; raise if it cannot work, as far as that can be known."""
    from alloy.commands import estimate_training as cost
    from alloy.commands.count_tokens import count_general
    from alloy.training.cost import count_parameters

    summary, config = inputs.summary, inputs.config
    model, train, mix = inputs.settings[Model], inputs.settings[Train], inputs.settings[Mix]
    if config is None:
        return
    summary.model += f", {count_parameters(config).total / 1e6:,.1f} M parameters"
    if inputs.comments is None or inputs.general is None:
        return
    customer = inputs.comments.sum_fitting(train.max_length)
    general = count_general(inputs.general, inputs.tokenizer, train.assistant_turns, train.max_length)
    epoch, needed = cost.estimate_mix(mix, customer, general)
    seen = epoch.scale(cost.count_epochs(train, epoch))
    summary.trained_tokens = seen.tokens
    speed, summary.basis = cost.measure_speed_here(config)
    steps = [("train, on this machine", train, seen)]
    if model.scratch:
        scratch_train = model.scratch.train
        fitting = count_general(
            inputs.general, inputs.tokenizer, scratch_train.assistant_turns, scratch_train.max_length
        )
        steps.insert(
            0, ("base, on this machine", scratch_train, fitting.scale(cost.count_epochs(scratch_train, fitting)))
        )
    memory = available = 0
    for title, settings, lengths in steps:
        memory, available = cost.estimate_memory_here(config, settings)
        seconds = cost.count_flops(config, settings, lengths) / speed if speed else None
        summary.costs.append(cost.Cost(title, cost.count_devices_here(), seconds, memory))
    summary.costs += cost.estimate_costs_on_gpus(config, train, cost.count_flops(config, train, seen))
    check_cost(inputs, memory, available, epoch.tokens, needed)


def check_cost(inputs: Inputs, memory: int, available: int, epoch_tokens: float, needed: float) -> None:
    """Raise or warn if there are too few general rows, too little memory, no GPU, or too few steps for an epoch."""
    import torch

    train, mix, general = inputs.settings[Train], inputs.settings[Mix], inputs.general
    if train.max_steps and inputs.summary.trained_tokens and epoch_tokens:
        share = inputs.summary.trained_tokens / epoch_tokens
        if share < UNSEEN:
            inputs.warn(f"train.max_steps: {train.max_steps} steps see about {share:.0%} of the examples")
    if general and not mix.repeat and mix.unit is Unit.examples and needed > general.rows:
        raise InputError(
            f"params.yaml: mix.ratio: {mix.ratio} needs about {needed:,.0f} general rows, got {general.rows:,}; add "
            "general data, lower mix.ratio, or set mix.repeat: true"
        )
    if train.gpu and not torch.cuda.is_available():
        inputs.warn("train.gpu: true, but this machine has no GPU: train on another machine")
    elif memory > available:
        raise InputError(
            f"train: needs about {memory / 2**30:.1f} GiB, but this machine has {available / 2**30:.1f} GiB; lower "
            "train.max_length, or set train.gradient_checkpointing: true or train.method: lora"
        )
