"""The shape of params.yaml, the experiment, and the limits of each value.

Each section belongs to the stage of the same name.
"""

import math
from dataclasses import dataclass, field
from enum import Enum

from alloy.core.limits import require, share


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


class Unit(Enum):
    """What the general share is a share of: examples, their tokens, or the tokens that the loss is taken over."""

    examples = "examples"
    tokens = "tokens"
    loss_tokens = "loss_tokens"


class General(Enum):
    """Whose answers general examples end in: those of the data, or the base model's own."""

    data = "data"
    self = "self"


class Budget(Enum):
    """What is held fixed when the ratio changes: all customer examples, or the `total` of both."""

    keep_customer = "keep_customer"
    total = "total"


@dataclass
class Data:
    """Folders under data/ that hold the canonical files."""

    comments: str = "demo"
    general: str = "demo"
    benchmark: str = "demo"
    instructions: str = "demo"


@dataclass
class Split:
    """`test`: share of the comments held out, unless each comment names its `split`.

    `near`: likeness (Jaccard index of parts of the texts) from which on two comments stay on one side; at 1 only copies
    do, below it also those that differ in one word.
    """

    test: float = 0.2
    near: float = 0.8
    on_bad_row: BadRow = BadRow.stop

    def __post_init__(self) -> None:
        share("split.test", self.test)
        require(0.7 <= self.near <= 1, "split.near", self.near, "a likeness from 0.7 to 1, where 1 is copies alone")


@dataclass
class Decontaminate:
    """A general example is dropped when it shares with a test a `run` of so many words, or a whole question.

    A question of `changed` words or more also counts with one of them replaced, added or left out.
    """

    run: int = 13
    changed: int = 8

    def __post_init__(self) -> None:
        require(self.run >= 5, "decontaminate.run", self.run, "at least 5 words")
        require(self.changed >= 2, "decontaminate.changed", self.changed, "at least 2 words")


@dataclass
class Rehearse:
    """The base model's own answers, where `mix.general` is self.

    `rows`: how many general prompts it is asked at most, those that `mix` takes first; `max_new_tokens`: an answer that
    is longer is not used.
    """

    rows: int = 5000
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        require(self.rows > 0, "rehearse.rows", self.rows, "at least 1")
        require(self.max_new_tokens > 0, "rehearse.max_new_tokens", self.max_new_tokens, "at least 1")


@dataclass
class Mix:
    """`ratio`: share of the general rows in the training set, counted in `unit`.

    `sources`: weights of sources or categories among the general rows; none: as the data has them. `total`: how large
    the whole is, in `unit`, where `budget` is that. `repeat`: take rows again where there are too few.
    """

    ratio: float = 0.0
    unit: Unit = Unit.examples
    general: General = General.data
    sources: dict[str, float] = field(default_factory=dict)
    budget: Budget = Budget.keep_customer
    total: int | None = None
    repeat: bool = False

    def __post_init__(self) -> None:
        share("mix.ratio", self.ratio)
        for name, weight in self.sources.items():
            require(math.isfinite(weight) and weight >= 0, f"mix.sources.{name}", weight, "a weight of 0 or more")
        require(not self.sources or any(self.sources.values()), "mix.sources", "all 0", "one a weight above 0")
        if self.budget is Budget.total:
            require(self.total is not None, "mix.total", "null", "how large the mix is, as mix.budget is total")
        if self.total is not None:
            require(self.total > 0, "mix.total", self.total, "1 or more")
            wanted = "null, or set mix.budget: total; now all customer examples stay"
            require(self.budget is Budget.total, "mix.total", self.total, wanted)


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
class Svm:
    """The rival, a linear support vector machine: `c` weighs errors against a simple model."""

    c: float = 1.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.c) and self.c > 0, "svm.c", self.c, "a number above 0")


@dataclass
class Score:
    """`resamples`: bootstrap draws over comments for the 95 % intervals.

    A leaf with more than `head` training segments is of the head, one with fewer than `tail` of the tail.
    """

    resamples: int = 1000
    head: int = 100
    tail: int = 20

    def __post_init__(self) -> None:
        require(self.resamples >= 100, "score.resamples", self.resamples, "at least 100")
        require(self.tail >= 1, "score.tail", self.tail, "at least 1")
        require(self.head >= self.tail, "score.head", self.head, f"at least score.tail ({self.tail})")


@dataclass
class Gate:
    """Largest loss from base to tuned that `compare` lets pass, in points of the share; null: any."""

    mmlu_drop: float | None = None
    generated_drop: float | None = None
    ifeval_drop: float | None = None

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if value is not None:
                share(f"gate.{key}", value)


@dataclass
class Params:
    """params.yaml."""

    profile: str = "demo"
    seed: int = 0
    data: Data = field(default_factory=Data)
    split: Split = field(default_factory=Split)
    decontaminate: Decontaminate = field(default_factory=Decontaminate)
    rehearse: Rehearse = field(default_factory=Rehearse)
    mix: Mix = field(default_factory=Mix)
    interpolate: Interpolate = field(default_factory=Interpolate)
    prompt: Prompt = field(default_factory=Prompt)
    svm: Svm = field(default_factory=Svm)
    score: Score = field(default_factory=Score)
    gate: Gate = field(default_factory=Gate)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295, which every generator takes")
