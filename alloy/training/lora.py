"""LoRA by PEFT: an adapter put on a model, and merged into its weights after training.

A tied layer shares its weights with another: the output layer with the embeddings. An update that is merged into the
one would change the other, which was not trained with it. So layers that an adapter is put on are untied first, for
training and for merging alike.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, write_json
from alloy.modeling.architecture import find_modules_outside_text, text_config
from alloy.training.settings import Lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def attach(model: "PreTrainedModel", lora: Lora) -> "PeftModel":
    """Return `model` with an adapter in front of each target; its own weights are frozen.

    Layers that text never passes, such as those of a vision tower, get none, nor do those that kernels would bypass.
    """
    from peft import LoraConfig, get_peft_model

    untie_targets(model, lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank, whole or not
        lora_dropout=lora.dropout,
        target_modules=lora.targets[0] if lora.targets == ["all-linear"] else list(lora.targets),
        exclude_modules=sorted(find_modules_outside_text(model) | _fused(model)) or None,
        task_type="CAUSAL_LM",
    )
    try:
        with _quiet():
            return get_peft_model(model, config)  # type: ignore[return-value]
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"train.lora.targets: {', '.join(lora.targets)}: {reason}") from None


def _fused(model: "PreTrainedModel") -> set[str]:
    """Return the names of output layers whose weights the kernels of a state space read past any adapter.

    PEFT refuses them by a list of architectures; here a state space is told by its parameter D.
    """
    return {
        f"{name}.out_proj"
        for name, part in model.named_modules()
        if "D" in dict(part.named_parameters(recurse=False)) and hasattr(part, "out_proj")
    }


def merge(base: "PreTrainedModel", adapter: Path) -> Any:  # noqa: ANN401 (a PreTrainedModel, of any class)
    """Return `base` with the update of the adapter in that folder added to its weights."""
    from peft import PeftModel

    targets = read_json(adapter / "adapter_config.json")["target_modules"]
    untie_targets(base, targets if isinstance(targets, list) else [])
    with _quiet():
        return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()  # type: ignore[operator]


def untie_targets(model: Any, targets: list[str]) -> None:  # noqa: ANN401 (a PreTrainedModel)
    """Give the output layer weights of its own if they are the embeddings' and either is among the targets."""
    import torch

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embeddings.weight:
        return
    names = [name for name, part in model.named_modules() if part is head or part is embeddings]
    if not any(name == target or name.endswith(f".{target}") for name in names for target in targets):
        return
    if hasattr(head.weight, "ds_id"):  # this process has only a part of them
        raise InputError(
            "train.lora.targets: the output layer and the embeddings are tied in this model, and DeepSpeed's zero3 "
            "cannot untie them; leave them out, or train without train.deepspeed: zero3"
        )
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    for config in (model.config, text_config(model.config)):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}


@contextmanager
def _quiet() -> Iterator[None]:
    """For stacked experts PEFT warns of names that another part of the same call has matched.

    And it warns of modules that were to be excluded and that no target named.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did not match.*", RuntimeWarning)
        warnings.filterwarnings("ignore", ".*no modules were excluded.*")
        yield


def name_base(folder: Path, name: str, revision: str | None) -> None:
    """Write into the adapter in `folder` which model it belongs to; PEFT writes where that lay on this machine."""
    config = folder / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": name, "revision": revision})
