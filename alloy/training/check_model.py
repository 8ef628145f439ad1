"""Checks a model against the section `train`. It reads the model's configuration only, not its weights."""

from typing import TYPE_CHECKING

from alloy.core.files import InputError
from alloy.modeling.architecture import read_context_length
from alloy.training.isolation import find_packing_problem
from alloy.training.settings import Method, Scratch, Train

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def check_model(config: "PreTrainedConfig", train: Train) -> None:
    """Raise `InputError` if a model with this configuration cannot be trained with the section `train`.

    Rows of `train.max_length` tokens must fit the model's context, and `train.lora.targets` must name layers that the
    model has.
    """
    check_length(train, read_context_length(config))
    if train.method is Method.lora:
        import torch

        from alloy.training.cost import make_empty_model
        from alloy.training.lora import attach_adapter

        with torch.device("meta"):
            attach_adapter(make_empty_model(config), train.lora)


def check_scratch(scratch: Scratch, train: Train) -> None:
    """Raise `InputError` if a model from scratch does not fit its own training or the section `train`."""
    from alloy.training.tiny_qwen import new_config, new_tokenizer

    check_length(scratch.train, scratch.max_position_embeddings, "model.scratch.train")
    tokenizer = new_tokenizer([], scratch)  # no check depends on its words
    check_model(new_config(tokenizer, scratch), train)


def check_length(train: Train, context: int, key: str = "train") -> None:
    """Raise `InputError` if rows can be longer than a model's context, in tokens; `key` is the section of `train`."""
    if train.max_length > context:
        raise InputError(
            f"{key}.max_length: expected at most {context}, the model's context in tokens (max_position_embeddings), "
            f"got {train.max_length}; lower {key}.max_length in the profile"
        )


def resolve_packing(config: "PreTrainedConfig", train: Train) -> tuple[Train, str | None]:
    """Return `train` and None. If rows must not be packed for this model, return `train` without packing, and why."""
    if not train.packing or (problem := find_packing_problem(config)) is None:
        return train, None
    line = (
        f"rows are not packed: {problem}; train.global_batch counts examples (set train.packing: false to hide this "
        "line)"
    )
    return train.model_copy(update={"packing": False}), line
