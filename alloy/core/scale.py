"""The shape of profiles/<profile>.yaml, the scale of an experiment, and the limits of each value.

Each section belongs to the stage of the same name.
"""

import math
import re
from dataclasses import dataclass, field
from enum import Enum

from alloy.core.limits import require


class EngineName(Enum):
    """What answers comments: transformers or vLLM on this machine, an OpenAI-compatible service, Amazon Bedrock."""

    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"
    bedrock = "bedrock"


class AnswerAs(Enum):
    """What a multiple-choice answer is: the letter A to D, or the text of the choice."""

    letter = "letter"
    text = "text"


class Backend(Enum):
    """What runs lm-eval's tasks: transformers, the shared few-shot prefix computed once, or vLLM."""

    hf = "hf"
    vllm = "vllm"


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
    """What training does with rows over `max_length`: stop, or leave them out whole and count them."""

    stop = "stop"
    drop = "drop"


class Optimizer(Enum):
    """What takes the steps: AdamW, or Muon for the matrices and AdamW for the rest."""

    adamw = "adamw"
    muon = "muon"


@dataclass
class Lora:
    """A low-rank adapter (Hu et al., 2021): its update is `alpha / rank` times a product of two thin matrices.

    `targets` are names of linear layers, or `all-linear`. `merge` adds the update to the weights after training.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["all-linear"])
    merge: bool = True

    def check(self, key: str) -> None:
        """Raise `ValueError` for a value out of range; `key` is where this section stands."""
        require(self.rank > 0, f"{key}.rank", self.rank, "at least 1")
        require(math.isfinite(self.alpha) and self.alpha > 0, f"{key}.alpha", self.alpha, "a number above 0")
        require(0 <= self.dropout < 1, f"{key}.dropout", self.dropout, "a share from 0 to below 1")
        require(len(self.targets) > 0, f"{key}.targets", self.targets, "names of linear layers, or [all-linear]")


@dataclass
class Train:
    """One run of supervised fine-tuning.

    `global_batch` counts rows of `max_length` tokens when `packing`, else examples; over how many processes they
    spread is no param. `max_steps` null trains `epochs`. `gpu` refuses to train without one. `anchor` weighs the
    divergence from the base model on general rows; 0 is off.
    """

    lr: float
    method: Method = Method.full
    lora: Lora = field(default_factory=Lora)
    deepspeed: DeepSpeed | None = None
    gpu: bool = False
    epochs: float = 1.0
    max_steps: int | None = None
    global_batch: int = 8
    max_length: int = 1024
    on_long_row: LongRow = LongRow.stop
    packing: bool = True
    optimizer: Optimizer = Optimizer.adamw
    schedule: Schedule = Schedule.cosine
    warmup: float = 0.05
    weight_decay: float = 0.0
    gradient_checkpointing: bool = False
    liger: bool = False
    anchor: float = 0.0

    def check(self, key: str) -> None:
        """Raise `ValueError` for a value out of range; `key` is where this section stands."""
        require(0 < self.lr < 1, f"{key}.lr", self.lr, "a number above 0 and below 1")
        require(math.isfinite(self.epochs) and self.epochs > 0, f"{key}.epochs", self.epochs, "a number above 0")
        require(self.max_steps is None or self.max_steps > 0, f"{key}.max_steps", self.max_steps, "null or at least 1")
        require(self.global_batch > 0, f"{key}.global_batch", self.global_batch, "at least 1")
        require(self.max_length > 0, f"{key}.max_length", self.max_length, "at least 1 token")
        require(0 <= self.warmup < 1, f"{key}.warmup", self.warmup, "a share of the steps from 0 to below 1")
        require(0 <= self.weight_decay < 1, f"{key}.weight_decay", self.weight_decay, "0 to below 1")
        require(math.isfinite(self.anchor) and self.anchor >= 0, f"{key}.anchor", self.anchor, "0 or more")
        require(
            self.optimizer is Optimizer.adamw or (self.deepspeed is None and self.method is Method.full),
            f"{key}.optimizer",
            self.optimizer.value,
            "adamw: Muon wants whole matrices, which neither DeepSpeed nor LoRA has",
        )
        require(
            self.anchor == 0 or self.deepspeed is not DeepSpeed.zero3,
            f"{key}.anchor",
            self.anchor,
            "0 under zero3, where no process holds a base model whole",
        )
        self.lora.check(f"{key}.lora")


@dataclass
class Scratch:
    """A small Qwen3 trained from scratch on the general data; sizes as in `Qwen3Config`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    train: Train

    def __post_init__(self) -> None:
        key = "model.scratch"
        for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "max_position_embeddings"):
            require(getattr(self, name) > 0, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.vocab_size >= 300, f"{key}.vocab_size", self.vocab_size, "at least 300: 256 bytes and some merges")
        require(self.head_dim > 0 and self.head_dim % 2 == 0, f"{key}.head_dim", self.head_dim, "an even number")
        require(
            0 < self.num_key_value_heads <= self.num_attention_heads
            and self.num_attention_heads % self.num_key_value_heads == 0,
            f"{key}.num_key_value_heads",
            self.num_key_value_heads,
            f"a divisor of num_attention_heads ({self.num_attention_heads})",
        )
        self.train.check(f"{key}.train")
        for name, plain in (("method", Method.full), ("deepspeed", None), ("anchor", 0.0)):
            value = getattr(self.train, name)
            said = value.value if isinstance(value, Enum) else value
            require(value == plain, f"{key}.train.{name}", said, "nothing here: it is for a model that has learnt")


@dataclass
class Model:
    """The base model: a hub repository at a pinned `revision`, one made from scratch, or one that a service hosts.

    A hosted one, by the service's name for it, answers comments and is not trained.
    """

    hub: str | None = None
    revision: str | None = None
    scratch: Scratch | None = None
    hosted: str | None = None

    def __post_init__(self) -> None:
        if [self.hub, self.scratch, self.hosted].count(None) != 2:
            raise ValueError("model: give one of `hub` (with `revision`), `scratch` and `hosted`")
        require(self.hosted != "", "model.hosted", "''", "the name by which the service knows the model")
        if self.hub is not None and self.revision is None:
            raise ValueError("model.revision: pin the commit of the hub repository, so that the base cannot change")
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f"model.revision: '{self.revision}' can move; give the commit, 40 hexadecimal digits in quotes "
                "(on the hub: Files, History)"
            )


@dataclass
class Infer:
    """`constrain` holds answers to the taxonomy; `limit`: the first so many test comments, null for all.

    `batch_size` is for this machine's engines. `concurrency` requests at once, `timeout` in seconds and `retries` are
    for services.
    """

    engine: EngineName = EngineName.transformers
    constrain: bool = False
    batch_size: int = 64
    max_new_tokens: int = 512
    limit: int | None = None
    concurrency: int = 16
    timeout: float = 120.0
    retries: int = 8

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "infer.batch_size", self.batch_size, "at least 1")
        require(self.max_new_tokens > 0, "infer.max_new_tokens", self.max_new_tokens, "at least 1")
        require(self.limit is None or self.limit > 0, "infer.limit", self.limit, "null or at least 1")
        require(self.concurrency > 0, "infer.concurrency", self.concurrency, "at least 1")
        require(math.isfinite(self.timeout) and self.timeout > 0, "infer.timeout", self.timeout, "seconds above 0")
        require(self.retries >= 0, "infer.retries", self.retries, "0 or more")

    @property
    def chunk(self) -> int:
        """How many comments belong together: what a kill can cost, and what an engine arranges as suits it."""
        service = self.engine in (EngineName.openai, EngineName.bedrock)
        return 8 * (self.concurrency if service else self.batch_size)


@dataclass
class Harness:
    """How lm-eval runs a model, for the stages `mmlu`, `ifeval` and `general`; `batch_size`: rows answered at once."""

    backend: Backend = Backend.hf
    batch_size: int = 32

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "harness.batch_size", self.batch_size, "at least 1")


@dataclass
class Mmlu:
    """`answer`: what the model must give; `limit`: the first so many questions a subject, null for all."""

    answer: AnswerAs = AnswerAs.letter
    fewshot: int = 0
    max_new_tokens: int = 16
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.fewshot >= 0, "mmlu.fewshot", self.fewshot, "0 or more")
        require(self.max_new_tokens > 0, "mmlu.max_new_tokens", self.max_new_tokens, "at least 1")
        require(self.limit is None or self.limit > 0, "mmlu.limit", self.limit, "null or at least 1")


@dataclass
class Ifeval:
    """`limit`: the first so many prompts, null for all."""

    max_new_tokens: int = 1280
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.max_new_tokens > 0, "ifeval.max_new_tokens", self.max_new_tokens, "at least 1")
        require(self.limit is None or self.limit > 0, "ifeval.limit", self.limit, "null or at least 1")


@dataclass
class Profile:
    """profiles/<profile>.yaml. `general`: other tasks of lm-eval, by name or by a YAML file in profiles/tasks."""

    model: Model
    train: Train
    infer: Infer = field(default_factory=Infer)
    harness: Harness = field(default_factory=Harness)
    mmlu: Mmlu = field(default_factory=Mmlu)
    ifeval: Ifeval = field(default_factory=Ifeval)
    general: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train.check("train")
