"""Typed parameters: params.yaml is the experiment, profiles/<profile>.yaml its scale.

Each section belongs to the stage of the same name. A key that does not exist, a wrong type or a value out
of range raises `InputError` with the file and the key.
"""

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stages.records import InputError


class BadRow(Enum):
    """What `split` does with a row it cannot use."""

    stop = "stop"
    reject = "reject"


class TaxonomyIn(Enum):
    """How much of the taxonomy the prompt carries."""

    none = "none"
    full = "full"


class AnswerAs(Enum):
    """What a multiple-choice answer is: the letter A to D, or the text of the choice."""

    letter = "letter"
    text = "text"


class Schedule(Enum):
    """How the learning rate goes down after the warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant_with_warmup"


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
class Prompt:
    """What a comment is wrapped in."""

    taxonomy: TaxonomyIn = TaxonomyIn.none


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
    prompt: Prompt = field(default_factory=Prompt)
    score: Score = field(default_factory=Score)
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295, which every generator takes")


@dataclass
class Train:
    """One run of supervised fine-tuning.

    `global_batch` counts rows of `max_length` tokens when `packing`, else examples. `max_steps` null trains `epochs`.
    """

    lr: float
    epochs: float = 1.0
    max_steps: int | None = None
    global_batch: int = 8
    max_length: int = 1024
    packing: bool = True
    optimizer: Optimizer = Optimizer.adamw
    schedule: Schedule = Schedule.cosine
    warmup: float = 0.05
    weight_decay: float = 0.0

    def check(self, key: str) -> None:
        """Raise `ValueError` for a value out of range; `key` is where this section stands."""
        require(0 < self.lr < 1, f"{key}.lr", self.lr, "a number above 0 and below 1")
        require(math.isfinite(self.epochs) and self.epochs > 0, f"{key}.epochs", self.epochs, "a number above 0")
        require(self.max_steps is None or self.max_steps > 0, f"{key}.max_steps", self.max_steps, "null or at least 1")
        require(self.global_batch > 0, f"{key}.global_batch", self.global_batch, "at least 1")
        require(self.max_length > 0, f"{key}.max_length", self.max_length, "at least 1 token")
        require(0 <= self.warmup < 1, f"{key}.warmup", self.warmup, "a share of the steps from 0 to below 1")
        require(0 <= self.weight_decay < 1, f"{key}.weight_decay", self.weight_decay, "0 to below 1")


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
        self.train.check("model.scratch.train")


@dataclass
class Model:
    """The base model: a hub repository at a pinned `revision`, or one made from scratch. Exactly one of the two."""

    hub: str | None = None
    revision: str | None = None
    scratch: Scratch | None = None

    def __post_init__(self) -> None:
        if (self.hub is None) == (self.scratch is None):
            raise ValueError("model: give either `hub` with `revision`, or `scratch`")
        if self.hub is not None and self.revision is None:
            raise ValueError("model.revision: pin the commit of the hub repository, so that the base cannot change")


@dataclass
class Infer:
    """`limit`: the first so many test comments, null for all."""

    batch_size: int = 64
    max_new_tokens: int = 512
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "infer.batch_size", self.batch_size, "at least 1")
        require(self.max_new_tokens > 0, "infer.max_new_tokens", self.max_new_tokens, "at least 1")
        require(self.limit is None or self.limit > 0, "infer.limit", self.limit, "null or at least 1")


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


def load_params(path: str | Path = "params.yaml") -> Params:
    """Return the experiment's parameters."""
    return _load(Path(path), Params)


def load_profile(name: str, folder: str | Path = "profiles") -> Profile:
    """Return the scale named `name`."""
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in Path(folder).glob("*.yaml")))
        raise InputError(f"params.yaml: profile: there is no {path}; known profiles: {known}")
    return _load(path, Profile)


def _load(path: Path, schema: type) -> Any:  # noqa: ANN401 (an instance of `schema`)
    try:
        given = OmegaConf.load(path)
        if not isinstance(given, DictConfig):
            raise InputError(f"{path}: write `key: value` lines")
        known = OmegaConf.structured(schema)
        for key, value in given.items():
            if key in known and OmegaConf.is_dict(known._get_node(key)) and not OmegaConf.is_dict(value):
                raise InputError(f"{path}: {key}: {value!r} where a section belongs; write `key: value` lines below it")
        return OmegaConf.to_object(OmegaConf.merge(known, given))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:  # without an errno it is OmegaConf's word for YAML that is no mapping
        raise InputError(f"{path}: {error.strerror or 'write `key: value` lines'}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{place}: not valid YAML: {reason}") from None
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        raise InputError(f"{path}: {key}: {str(error.msg or error).splitlines()[0]}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
