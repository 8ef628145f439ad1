"""Saves a trained model: as an ordinary Hugging Face folder in the base model's dtype, or as an adapter for it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row, read_json, write_atomically, write_json
from alloy.training import distributed, lora
from alloy.training.job import TrainingJob
from alloy.training.settings import DeepSpeed, Method

if TYPE_CHECKING:
    import torch

    from alloy.training.trainer import MixTrainer


def save_trained_model(job: TrainingJob, trainer: "MixTrainer", folder: Path, report: Row) -> None:
    """Write model, tokenizer and card to `folder`. Every process must call this; rank 0 writes."""
    import torch

    state: Any = None
    if job.train.deepspeed is DeepSpeed.zero3:  # gather the weights: each process has only a part
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not distributed.is_main():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    state = model.state_dict() if state is None else state
    if job.train.method is Method.full:
        _save_weights(job, model, state, folder)
    elif job.train.lora.merge:
        adapter = folder.with_name("adapter")
        _save_adapter(model, state, adapter)
        _unset_zero3_loading()
        model = lora.merge_adapter(job.load_model(torch.float32), adapter)
        _save_weights(job, model, model.state_dict(), folder)
        shutil.rmtree(adapter)
    else:
        _save_adapter(model, state, folder)
        lora.write_base_name(folder, *job.base)
    job.tokenizer.save_pretrained(folder)
    if job.format_card:
        text = job.format_card(report)
        write_atomically(folder / "README.md", lambda file: file.write_text(text, encoding="utf-8"))


def _save_adapter(model: Any, state: "dict[str, torch.Tensor]", folder: Path) -> None:  # noqa: ANN401 (a PeftModel)
    # For an adapter on the embeddings, PEFT would also save the embeddings themselves, which are the base model's.
    model.save_pretrained(folder, state_dict=state, save_embedding_layers=False)


def _save_weights(job: TrainingJob, model: Any, state: "dict[str, torch.Tensor]", folder: Path) -> None:  # noqa: ANN401
    import torch

    dtype = getattr(torch, str(job.config.dtype or torch.float32).removeprefix("torch."))
    if model.config.tie_word_embeddings:
        state = {name: tensor for name, tensor in state.items() if name not in model.all_tied_weights_keys}
    model.save_pretrained(folder, state_dict={name: tensor.to(dtype) for name, tensor in state.items()})
    file = folder / "config.json"  # transformers wrote the dtype and the cache setting of the training
    saved = {**read_json(file), "dtype": str(dtype).removeprefix("torch.")}
    saved.pop("use_cache", None)
    if hasattr(job.config, "use_cache"):  # otherwise it is in the nested configuration of the language model
        saved["use_cache"] = job.config.use_cache
    write_json(file, saved)


def _unset_zero3_loading() -> None:
    """Make transformers load whole weights again: while a ZeRO-3 configuration exists, it loads only a part."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
