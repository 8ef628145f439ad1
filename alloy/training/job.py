"""The description of a training job, which is passed to all steps of the training."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.training.settings import Train

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainingJob:
    """One training.

    `key` is the hash of everything that the result depends on (`alloy.runtime.resume.hash_inputs`). `section` is
    the key of `train` in the profile. `load_model` returns the model to train in a given dtype; `config` is its
    configuration. The trained model is written to `output`. `format_card`, if given, makes its README.md from the
    report. `base` is the base model's name and revision, which an adapter stores to find it again.
    """

    stage: str
    section: str
    key: str
    train: Train
    seed: int
    config: Any
    tokenizer: "PreTrainedTokenizerBase"
    load_model: "Callable[[torch.dtype], Any]"
    output: Path
    base: tuple[str, str | None] = ("", None)
    format_card: Callable[[Row], str] | None = None
