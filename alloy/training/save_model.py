"""How a trained model is saved: an ordinary Hugging Face folder in the base's dtype, or an adapter for it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row, read_json, write_json, write_whole
from alloy.training import distributed, lora
from alloy.training.job import TrainingJob
from alloy.training.settings import DeepSpeed, Method

if TYPE_CHECKING:
    import torch

    from alloy.training.trainer import MixTrainer


def save(job: TrainingJob, trainer: "MixTrainer", folder: Path, report: Row) -> None:
    """Write model, tokenizer and card to `folder`; every process takes part, rank 0 writes."""
    import torch

    state: Any = None
    if job.train.deepspeed is DeepSpeed.zero3:  # no process has the weights whole
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not distributed.is_main():
        return
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    state = model.state_dict() if state is None else state
    if job.train.method is Method.full:
        _save_weights(job, model, state, folder)
    elif job.train.lora.merge:
        beside = folder.with_name("adapter")
        _save_adapter(model, state, beside)
        _whole_again()
        model = lora.merge(job.model(torch.float32), beside)
        _save_weights(job, model, model.state_dict(), folder)
        shutil.rmtree(beside)
    else:
        _save_adapter(model, state, folder)
        lora.name_base(folder, *job.base)
    job.tokenizer.save_pretrained(folder)
    if job.card:
        text = job.card(report)
        write_whole(folder / "README.md", lambda part: part.write_text(text, encoding="utf-8"))


def _save_adapter(model: Any, state: "dict[str, torch.Tensor]", folder: Path) -> None:  # noqa: ANN401 (a PeftModel)
    # Without the embeddings that an adapter is put on: they are the base's.
    model.save_pretrained(folder, state_dict=state, save_embedding_layers=False)


def _save_weights(job: TrainingJob, model: Any, state: "dict[str, torch.Tensor]", folder: Path) -> None:  # noqa: ANN401
    import torch

    dtype = getattr(torch, str(job.config.dtype or torch.float32).removeprefix("torch."))
    if model.config.tie_word_embeddings:
        state = {name: tensor for name, tensor in state.items() if name not in model.all_tied_weights_keys}
    model.save_pretrained(folder, state_dict={name: tensor.to(dtype) for name, tensor in state.items()})
    file = folder / "config.json"  # it says how the model was trained: in which dtype, without a cache
    saved = {**read_json(file), "dtype": str(dtype).removeprefix("torch.")}
    saved.pop("use_cache", None)
    if hasattr(job.config, "use_cache"):  # else the language model's own configuration, below this one, has it
        saved["use_cache"] = job.config.use_cache
    write_json(file, saved)


def _whole_again() -> None:
    """Load weights whole from here on: while a ZeRO-3 configuration is alive, transformers loads them in parts."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
