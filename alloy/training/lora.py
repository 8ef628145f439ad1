"""LoRA with PEFT: adds an adapter to a model, and merges it into the weights after training.

In many models the output layer is tied to the embeddings: both share one weight. An update that is merged into one
would also change the other, which was not trained with it. So if an adapter targets one of them, they are untied
first, before training and before merging.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, write_json
from alloy.modeling.architecture import find_modules_outside_text, get_text_config
from alloy.training.settings import Lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def attach_adapter(model: "PreTrainedModel", lora: Lora) -> "PeftModel":
    """Return `model` with an adapter on each target layer; its own weights are frozen.

    Layers that text does not use, such as those of a vision tower, get no adapter. The same holds for layers whose
    adapter would be bypassed (`_find_fused_outputs`).
    """
    from peft import LoraConfig, get_peft_model

    untie_targets(model, lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank, whole or not
        lora_dropout=lora.dropout,
        target_modules=lora.targets[0] if lora.targets == ["all-linear"] else list(lora.targets),
        exclude_modules=sorted(find_modules_outside_text(model) | _find_fused_outputs(model)) or None,
        task_type="CAUSAL_LM",
    )
    try:
        with _silence_peft():
            return get_peft_model(model, config)  # type: ignore[return-value]
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"train.lora.targets: {', '.join(lora.targets)}: {reason}; name linear layers of the model, or all-linear"
        ) from None


def _find_fused_outputs(model: "PreTrainedModel") -> set[str]:
    """Return the names of output layers of state space blocks.

    Their kernels read the weights directly, so an adapter on them would have no effect. PEFT rejects them for a list of
    architectures. Here a state space block is recognized by its parameter D.
    """
    return {
        f"{name}.out_proj"
        for name, module in model.named_modules()
        if "D" in dict(module.named_parameters(recurse=False)) and hasattr(module, "out_proj")
    }


def merge_adapter(base: "PreTrainedModel", adapter: Path) -> Any:  # noqa: ANN401 (a PreTrainedModel, of any class)
    """Return `base` with the update of the adapter in the folder `adapter` added to its weights."""
    from peft import PeftModel

    targets = read_json(adapter / "adapter_config.json")["target_modules"]
    untie_targets(base, targets if isinstance(targets, list) else [])
    with _silence_peft():
        return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()  # type: ignore[operator]


def untie_targets(model: Any, targets: list[str]) -> None:  # noqa: ANN401 (a PreTrainedModel)
    """Give the output layer its own copy of the weights if it is tied to the embeddings and one of them is a target."""
    import torch

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embeddings.weight:
        return
    names = [name for name, module in model.named_modules() if module is head or module is embeddings]
    if not any(name == target or name.endswith(f".{target}") for name in names for target in targets):
        return
    if hasattr(head.weight, "ds_id"):  # under ZeRO-3 this process has only a part of them
        raise InputError(
            "train.lora.targets: the output layer and the embeddings are tied in this model, and they cannot be untied "
            "under zero3; remove both from train.lora.targets, or set train.deepspeed: zero2"
        )
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    for config in (model.config, get_text_config(model.config)):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}


@contextmanager
def _silence_peft() -> Iterator[None]:
    """Silence two warnings of PEFT that users cannot act on.

    With stacked experts, PEFT warns about names that it has matched in another way. It also warns if none of the
    excluded modules was a target.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did not match.*", RuntimeWarning)
        warnings.filterwarnings("ignore", ".*no modules were excluded.*")
        yield


def write_base_name(folder: Path, name: str, revision: str | None) -> None:
    """Write the base model's name and revision into the adapter in `folder`; PEFT writes a path of this machine."""
    config = folder / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": name, "revision": revision})
