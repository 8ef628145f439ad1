"""The shape of params.yaml (the experiment) and profiles/<profile>.yaml (its scale), and the limits of each value.

Each section belongs to the stage of the same name. A value out of range raises `ValueError`, to which
`stages/params.py` adds the file.
"""

import math
import re
from dataclasses import dataclass, field
from enum import Enum


class BadRow(Enum):
    """What `split` does with a row it cannot use."""

    stop = "stop"
    reject = "reject"


class TaxonomyIn(Enum):
    """How much of the taxonomy the prompt carries: nothing, all of it, or the leaves most like the comment."""

    none = "none"
    full = "full"
    shortlist = "shortlist"


class LabelsAs(Enum):
    """What labels are in prompt and answer: their paths, or short codes that are expanded after."""

    path = "path"
    code = "code"


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


def require(holds: bool, key: str, value: object, wanted: str) -> None:
    """Raise `ValueError` that names `key` unless `holds`."""
    if not holds:
        raise ValueError(f"{key}: {value} is out of range; give {wanted}")


def share(key: str, value: float) -> None:
    """Require a share between 0 and 1, ends included."""
    require(0 <= value <= 1, key, value, "a share from 0 to 1")


@dataclass
class Data:
    """Folders under data/ that hold the canonical files."""

    comments: str = "demo"
    general: str = "demo"
    benchmark: str = "demo"


@dataclass
class Split:
    """`test`: share of the comments held out, unless each comment names its `split`."""

    test: float = 0.2
    on_bad_row: BadRow = BadRow.stop

    def __post_init__(self) -> None:
        share("split.test", self.test)


@dataclass
class Mix:
    """`ratio`: share of the general rows in the training set."""

    ratio: float = 0.0

    def __post_init__(self) -> None:
        share("mix.ratio", self.ratio)


@dataclass
class Interpolate:
    """`alpha`: the share of the trained weights in the tuned model, the rest is the base's; 1: the trained alone."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        share("interpolate.alpha", self.alpha)


@dataclass
class Prompt:
    """What a comment is wrapped in; `shortlist`: how many leaves, where `taxonomy` is that; `examples`: few-shot."""

    taxonomy: TaxonomyIn = TaxonomyIn.none
    shortlist: int = 20
    examples: int = 0
    labels: LabelsAs = LabelsAs.path

    def __post_init__(self) -> None:
        require(self.shortlist > 0, "prompt.shortlist", self.shortlist, "at least 1")
        require(self.examples >= 0, "prompt.examples", self.examples, "0 or more")


@dataclass
class Score:
    """`resamples`: bootstrap draws over comments for the 95 % intervals."""

    resamples: int = 1000

    def __post_init__(self) -> None:
        require(self.resamples >= 100, "score.resamples", self.resamples, "at least 100")


@dataclass
class Gate:
    """Largest loss from base to tuned that `compare` lets pass, in points of accuracy; null: any."""

    mmlu_drop: float | None = None
    generated_drop: float | None = None

    def __post_init__(self) -> None:
        for key in ("mmlu_drop", "generated_drop"):
            if (value := getattr(self, key)) is not None:
                share(f"gate.{key}", value)


@dataclass
class Params:
    """params.yaml."""

    profile: str = "demo"
    seed: int = 0
    data: Data = field(default_factory=Data)
    split: Split = field(default_factory=Split)
    mix: Mix = field(default_factory=Mix)
    interpolate: Interpolate = field(default_factory=Interpolate)
    prompt: Prompt = field(default_factory=Prompt)
    score: Score = field(default_factory=Score)
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295, which every generator takes")


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
        require(self.alpha > 0, f"{key}.alpha", self.alpha, "a number above 0")
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


@dataclass
class Mmlu:
    """`answer`: what the model must give; `limit`: the first so many questions a subject, null for all."""

    answer: AnswerAs = AnswerAs.letter
    fewshot: int = 0
    batch_size: int = 32
    max_new_tokens: int = 16
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.fewshot >= 0, "mmlu.fewshot", self.fewshot, "0 or more")
        require(self.batch_size > 0, "mmlu.batch_size", self.batch_size, "at least 1")
        require(self.max_new_tokens > 0, "mmlu.max_new_tokens", self.max_new_tokens, "at least 1")
        require(self.limit is None or self.limit > 0, "mmlu.limit", self.limit, "null or at least 1")


@dataclass
class Profile:
    """profiles/<profile>.yaml."""

    model: Model
    train: Train
    infer: Infer = field(default_factory=Infer)
    mmlu: Mmlu = field(default_factory=Mmlu)

    def __post_init__(self) -> None:
        self.train.check("train")
