"""The sections `model` and `train` of a profile."""

from enum import Enum
from typing import ClassVar, Self

from pydantic import Field, model_validator

from alloy.core.settings import SEED_LIMIT, Section, Settings, refuse
from alloy.modeling.chat_examples import AssistantTurns
from alloy.modeling.settings import Checkpoint


class Schedule(Enum):
    """How the learning rate goes down after the warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant_with_warmup"


class Method(Enum):
    """What training changes: every weight, or a low-rank adapter beside them."""

    full = "full"
    lora = "lora"


class DeepSpeed(Enum):
    """How processes share the training state: ZeRO-2 its optimizer and gradients, ZeRO-3 the weights too."""

    zero2 = "zero2"
    zero3 = "zero3"


class LongRow(Enum):
    """What is done with rows over `max_length`: stop, or leave them out whole and count them."""

    stop = "stop"
    drop = "drop"


class Optimizer(Enum):
    """What takes the steps: AdamW, or Muon for the matrices and AdamW for the rest."""

    adamw = "adamw"
    muon = "muon"


class Lora(Settings):
    """A low-rank adapter (Hu et al., 2021): its update is `alpha / rank` times a product of two thin matrices.

    `targets` are names of linear layers, or `all-linear`. `merge` adds the update to the weights after training.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: list[str] = Field(default_factory=lambda: ["all-linear"])
    merge: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.targets:
            raise refuse("targets", [], "names of linear layers, or [all-linear]")
        return self


class Train(Section):
    """One run of supervised fine-tuning.

    `global_batch` counts rows of `max_length` tokens when `packing`, else examples; over how many processes they
    spread is no param. `max_steps` null trains `epochs`. `gpu` refuses to train without one. `anchor` weighs the
    divergence from the base model on general rows; 0 is off. `max_length`, `on_long_row` and `assistant_turns` are read
    by `mix` as well, which draws only rows that fit; there `assistant_turns` says which tokens are loss tokens.
    """

    key = "train"
    in_profile: ClassVar[bool] = True
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
    anchor: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        whole = self.deepspeed is None and self.method is Method.full
        if self.optimizer is Optimizer.muon and not whole:
            raise refuse("optimizer", "muon", "adamw: Muon wants whole matrices, which neither DeepSpeed nor LoRA has")
        if self.anchor and self.deepspeed is DeepSpeed.zero3:
            raise refuse("anchor", self.anchor, "0 under zero3, where no process holds a base model whole")
        return self


class Scratch(Settings):
    """A small Qwen3 trained from scratch on the general data; sizes as in `Qwen3Config`.

    `seed`: of its weights and its training. It is not the `seed` of params.yaml, so that runs with several of those
    start from the same base.
    """

    vocab_size: int = Field(ge=300)  # 256 bytes and some merges
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
    def _check(self) -> Self:
        if self.head_dim % 2:
            raise refuse("head_dim", self.head_dim, "an even number")
        if self.num_attention_heads % self.num_key_value_heads:
            wanted = f"a divisor of num_attention_heads ({self.num_attention_heads})"
            raise refuse("num_key_value_heads", self.num_key_value_heads, wanted)
        for name, plain in (("method", Method.full), ("deepspeed", None), ("anchor", 0.0)):
            if (value := getattr(self.train, name)) != plain:
                raise refuse(f"train.{name}", value, "nothing here: it is for a model that has learned")
        return self


class Model(Checkpoint, Section):
    """The base model: one that exists (`Checkpoint`), or `scratch`, a new one.

    The new one is described here because it is trained, and `alloy.modeling` knows nothing of training.
    """

    key = "model"
    in_profile: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = (*Checkpoint.sources, "scratch")
    scratch: Scratch | None = None
