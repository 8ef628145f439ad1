"""LoRA with PEFT: adds an adapter to a model, and merges it into the weights after training.

Layers may share one weight. An update that is merged into one of them would also change the others, which were not
trained with it. In many models the output layer is tied to the embeddings: if an adapter targets one of them, they are
untied first, before training and before merging. Other shared weights, as in Zamba, cannot be untied: transformers
would tie them again when it loads the model. So they cannot be targets.
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

ALL = "all-linear"


def attach_adapter(model: "PreTrainedModel", lora: Lora) -> "PeftModel":
    """Return `model` with an adapter on each target layer; its own weights are frozen.

    Layers that text does not use, such as those of a vision tower, get no adapter. The same holds for layers whose
    adapter would be bypassed (`_find_fused_outputs`). Raises `InputError` if a target matches no layer, or a layer that
    shares its weights.
    """
    from peft import LoraConfig, get_peft_model

    if ALL in lora.targets and len(lora.targets) > 1:
        raise InputError(f"train.lora.targets: {ALL} is not the only target; remove it or all other names")
    untie_targets(model, lora.targets)
    shared = _find_shared_weights(model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank, whole or not
        lora_dropout=lora.dropout,
        target_modules=ALL if lora.targets == [ALL] else list(lora.targets),
        exclude_modules=sorted(find_modules_outside_text(model) | _find_fused_outputs(model)) or None,
        task_type="CAUSAL_LM",
    )
    try:
        with _silence_peft():
            adapted: Any = get_peft_model(model, config)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"train.lora.targets: {', '.join(lora.targets)}: {reason}; name linear layers of the model, or {ALL}"
        ) from None
    if lora.targets != [ALL]:
        _check_names(adapted, lora.targets)
    _check_weights(adapted, shared)
    return adapted


def _check_names(adapted: Any, targets: list[str]) -> None:  # noqa: ANN401 (a PeftModel)
    """Raise `InputError` unless each target has matched a layer.

    For stacked experts, PEFT turns some targets into names of parameters. They are then no longer in its configuration.
    """
    layers, parameters = adapted.base_model.targeted_module_names, adapted.base_model.targeted_parameter_names
    left = adapted.active_peft_config.target_modules
    for target in targets:
        if not any(_matches(name, target) for name in layers) and (target in left or not parameters):
            raise InputError(
                f"train.lora.targets: '{target}' matches no layer that can have an adapter; name linear layers of the "
                f"model, or only {ALL}"
            )


def _check_weights(adapted: Any, shared: dict[str, str]) -> None:  # noqa: ANN401 (a PeftModel)
    """Raise `InputError` if a layer with an adapter is in `shared` (see `_find_shared_weights`)."""
    for name in (*adapted.base_model.targeted_module_names, *adapted.base_model.targeted_parameter_names):
        if name in shared:
            raise _make_shared_error(name, shared[name])


def _make_shared_error(name: str, other: str) -> InputError:
    return InputError(
        f"train.lora.targets: {name} shares its weights with {other}, so an adapter cannot be merged into it; name "
        "only layers that share no weights, or set train.method: full"
    )


def _find_shared_weights(model: Any) -> dict[str, str]:  # noqa: ANN401 (a PreTrainedModel)
    """Return the parameters that are in several layers, and these layers; each with another one that it is shared with.

    Example: `{"lm_head.weight": "model.embed_tokens.weight", "lm_head": "model.embed_tokens", ..}` and the reverse.
    """
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    shared = {
        name: next(o for o in names if o != name) for names in owners.values() if len(names) > 1 for name in names
    }
    return shared | {name.rpartition(".")[0]: other.rpartition(".")[0] for name, other in shared.items()}


def _matches(name: str, target: str) -> bool:
    """Return whether PEFT applies a target to the layer `name`: its whole name, or the last parts of it."""
    return name == target or name.endswith(f".{target}")


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
    if not any(_matches(name, target) for name in names for target in targets):
        return
    for name, other in _find_shared_weights(model).items():
        if not {name, name.rpartition(".")[0]} & set(names):  # untying the output layer would untie these, too
            raise _make_shared_error(name, other)
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
