"""LoRA by PEFT: an adapter put on a model, and merged into its weights after training."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, write_json
from alloy.training.settings import Lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def attach(model: "PreTrainedModel", lora: Lora) -> "PeftModel":
    """Return `model` with an adapter in front of each target; its own weights are frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides it by the rank, whole or not
        lora_dropout=lora.dropout,
        target_modules=lora.targets[0] if lora.targets == ["all-linear"] else list(lora.targets),
        task_type="CAUSAL_LM",
    )
    try:
        with _quiet():
            return get_peft_model(model, config)  # type: ignore[return-value]
    except ValueError as error:
        raise InputError(f"train.lora.targets: {str(error).splitlines()[0]}") from None


def merge(base: "PreTrainedModel", adapter: Path) -> Any:  # noqa: ANN401 (a PreTrainedModel, of any class)
    """Return `base` with the update of the adapter in that folder added to its weights."""
    from peft import PeftModel

    with _quiet():
        return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()  # type: ignore[operator]


@contextmanager
def _quiet() -> Iterator[None]:
    """For stacked experts PEFT warns of names that another part of the same call has matched."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did not match.*", RuntimeWarning)
        yield


def name_base(folder: Path, name: str, revision: str | None) -> None:
    """Write into the adapter in `folder` which model it belongs to; PEFT writes where that lay on this machine."""
    config = folder / "adapter_config.json"
    write_json(config, {**read_json(config), "base_model_name_or_path": name, "revision": revision})
