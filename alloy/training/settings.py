"""The sections `model` and `train` of a profile."""

from enum import Enum
from typing import ClassVar, Self

from pydantic import Field, model_validator

from alloy.core.setting_errors import make_error
from alloy.core.settings import SEED_LIMIT, Section, Settings
from alloy.modeling.chat_examples import AssistantTurns
from alloy.modeling.settings import Checkpoint


class Schedule(Enum):
    """The learning rate schedule after the warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant_with_warmup"


class Method(Enum):
    """What training changes: all weights, or a low-rank adapter."""

    full = "full"
    lora = "lora"


class DeepSpeed(Enum):
    """What is divided among the processes: ZeRO-2 divides optimizer states and gradients, ZeRO-3 also the weights."""

    zero2 = "zero2"
    zero3 = "zero3"


class LongRow(Enum):
    """What to do with rows of more than `max_length` tokens: stop with an error, or drop and count them."""

    stop = "stop"
    drop = "drop"


class Optimizer(Enum):
    """AdamW, or Muon for hidden matrices with AdamW for the rest."""

    adamw = "adamw"
    muon = "muon"


class Lora(Settings):
    """A low-rank adapter (Hu et al., 2021): its update is `alpha / rank` times the product of two matrices of `rank`.

    `targets` are names of linear layers, or `all-linear`. `merge` adds the update to the weights after training.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: list[str] = Field(default_factory=lambda: ["all-linear"])
    merge: bool = True

    @model_validator(mode="after")
    def _check_targets(self) -> Self:
        if not self.targets:
            raise make_error("targets", [], "names of linear layers, or [all-linear]")
        return self


class Train(Section):
    """Settings of supervised fine-tuning.

    `global_batch` is the number of rows per step, over all processes: packed rows of `max_length` tokens with
    `packing`, otherwise examples. `epochs` is used if `max_steps` is null. `warmup` is the fraction of the steps in
    which the learning rate rises to `lr`. With `gpu`, training without a GPU is an error. `kl_weight` is the weight of
    the KL divergence from the base model on general rows; 0 turns it off.

    The stage `mix` also reads `max_length`, `on_long_row` and `assistant_turns`: it draws only rows that fit, and it
    counts loss tokens.
    """

    key = "train"
    in_profile: ClassVar[bool] = True
    renamed: ClassVar[dict[str, str]] = {"anchor": "kl_weight"}
    lr: float = Field(gt=0, lt=1)
    method: Method = Method.full
    lora: Lora = Lora()
    deepspeed: DeepSpeed | None = None
    gpu: bool = False
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    global_batch: int = Field(default=8, ge=1)
    max_length: int = Field(default=1024, ge=1)
    on_long_row: LongRow = LongRow.stop
    assistant_turns: AssistantTurns = AssistantTurns.all
    packing: bool = True
    optimizer: Optimizer = Optimizer.adamw
    schedule: Schedule = Schedule.cosine
    warmup: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    gradient_checkpointing: bool = False
    liger: bool = False
    kl_weight: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        whole_matrices = self.deepspeed is None and self.method is Method.full
        if self.optimizer is Optimizer.muon and not whole_matrices:
            fix = "Muon needs whole matrices, so it works with neither DeepSpeed nor LoRA"
            raise make_error("optimizer", "muon", "adamw", fix)
        if self.kl_weight and self.deepspeed is DeepSpeed.zero3:
            fix = "with deepspeed: zero3, no process holds the whole base model"
            raise make_error("kl_weight", self.kl_weight, "0", fix)
        return self


class Scratch(Settings):
    """A small Qwen3 that is trained from scratch on the general data. The sizes are named as in `Qwen3Config`.

    `seed` is for its weights and its training. It is separate from the `seed` of params.yaml, so that runs with other
    seeds start from the same base model.
    """

    vocab_size: int = Field(ge=300)  # 256 bytes, special tokens and some merges
    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int = Field(ge=1)
    head_dim: int = Field(ge=2)
    max_position_embeddings: int = Field(ge=1)
    train: Train
    seed: int = Field(default=0, ge=0, lt=SEED_LIMIT)

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.head_dim % 2:
            raise make_error("head_dim", self.head_dim, "an even number")
        if self.num_attention_heads % self.num_key_value_heads:
            expected = f"a divisor of num_attention_heads ({self.num_attention_heads})"
            raise make_error("num_key_value_heads", self.num_key_value_heads, expected)
        for name, default in (("method", Method.full), ("deepspeed", None), ("kl_weight", 0.0)):
            if (value := getattr(self.train, name)) != default:
                shown = default.value if isinstance(default, Method) else "null" if default is None else "0"
                fix = f"a model from scratch cannot be trained with {name}"
                raise make_error(f"train.{name}", value, shown, fix)
        return self


class Model(Checkpoint, Section):
    """The base model: an existing one (`Checkpoint`), or a new one (`scratch`).

    `scratch` is defined here and not in `alloy.modeling`, which must not depend on training.
    """

    key = "model"
    in_profile: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = (*Checkpoint.sources, "scratch")
    scratch: Scratch | None = None
