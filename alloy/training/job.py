"""What is to be trained: the description that every step of a training is given."""

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
    """One training of what `model` makes in the dtype that it is given; `config` is its configuration.

    `key` stands for all that goes into the result (`alloy.runtime.resume.hash_inputs`); `section` is where `train` is
    in the profile; the model ends at `out`, with a README.md that `card` makes of the report. `base` is the name and
    revision under which an adapter finds its model again.
    """

    stage: str
    section: str
    key: str
    train: Train
    seed: int
    config: Any
    tokenizer: "PreTrainedTokenizerBase"
    model: "Callable[[torch.dtype], Any]"
    out: Path
    base: tuple[str, str | None] = ("", None)
    card: Callable[[Row], str] | None = None
