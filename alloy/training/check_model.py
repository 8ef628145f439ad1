"""Whether a model fits the section `train`, found out from its configuration alone: no weight is read."""

from typing import TYPE_CHECKING

from alloy.core.files import InputError
from alloy.modeling.architecture import read_context_length
from alloy.training.isolation import why_not_packed
from alloy.training.settings import Method, Scratch, Train

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def check_model(config: "PreTrainedConfig", train: Train) -> None:
    """Raise `InputError` if a model of this configuration cannot be trained as the section `train` says.

    1. Rows of `train.max_length` tokens fit its context.
    2. `train.lora.targets` name layers that it has.
    """
    check_length(train, read_context_length(config))
    if train.method is Method.lora:
        import torch

        from alloy.training.cost import skeleton
        from alloy.training.lora import attach

        with torch.device("meta"):
            attach(skeleton(config), train.lora)


def check_scratch(scratch: Scratch, train: Train) -> None:
    """Raise `InputError` if the new model's context does not hold the rows of its own training, or those of `train`."""
    check_length(scratch.train, scratch.max_position_embeddings, "model.scratch.train")
    check_length(train, scratch.max_position_embeddings)


def check_length(train: Train, context: int, key: str = "train") -> None:
    """Raise `InputError` if rows may be longer than a model's context, in tokens; `key` is where `train` is."""
    if train.max_length > context:
        raise InputError(
            f"{key}.max_length: {train.max_length} is beyond the model's context of {context} tokens "
            "(max_position_embeddings); lower it in the profile"
        )


def without_packing(config: "PreTrainedConfig", train: Train) -> tuple[Train, str | None]:
    """Return `train` as this model can be trained, and a line for the user if that is without packing."""
    if not train.packing or (why := why_not_packed(config)) is None:
        return train, None
    line = f"rows are not packed: {why}; train.global_batch counts examples, and train.packing: false says the same"
    return train.model_copy(update={"packing": False}), line
