"""Arms: the finished runs of this commit, as DVC keeps them, with the settings they were trained by.

An arm is an experiment of the current commit, that commit itself, or the workspace. Figures are those of its
metrics/compare.json, from DVC's cache.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alloy.comparison.costs import Budget, budget
from alloy.comparison.metrics import BY_NAME
from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import Change, Counts, change
from alloy.sweep.dvc_experiments import WORKSPACE, experiments, finished, in_place, ratio_and_lr, read_lock, shared

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

FILES = COMPARED, SCORED = "metrics/compare.json", "metrics/score/tuned.jsonl"


@dataclass(frozen=True)
class Arm:
    """A finished run: its settings, its comparison by (part, key), and what its training was given.

    A figure is `{value}` and, where it has an interval, `low` and `high`.
    """

    name: str
    ratio: float
    lr: float
    measures: dict[tuple[str, str], Row]
    given: Budget | None = None
    files: "DVCFileSystem | None" = field(default=None, compare=False, repr=False)

    def figure(self, part: str, key: str, model: str = "tuned") -> Row | None:
        """Return a model's figure, or None where it was not measured."""
        return self.measures.get((part, key), {}).get("models", {}).get(model)

    @property
    def f1(self) -> Row:
        """The tuned model's VOC F1."""
        return self.measures["voc", "f1"]["models"]["tuned"]

    @property
    def acc(self) -> Row:
        """The tuned model's general accuracy, by likelihood."""
        return self.measures["mmlu", "acc"]["models"]["tuned"]

    @property
    def loss(self) -> Row:
        """What general accuracy lost against base, by pairs of answers; below 0 it gained."""
        fell = self.measures["mmlu", "acc"]["change"]
        turned = {"value": "value", "low": "high", "high": "low"}
        return {key: 0.0 - fell[other] for key, other in turned.items() if other in fell}


def read_arms() -> tuple[list[Arm], list[str]]:
    """Return the finished arms, each once, and a line for each that is left out."""
    done, left = experiments()
    here = Path("dvc.lock").is_file()
    like = shared(read_lock(WORKSPACE if here else "HEAD"))
    arms: list[Arm] = []
    quiet: list[str] = []  # why HEAD and workspace are no arms: of no interest beside some that are
    for name, rev in [*done, ("HEAD", "HEAD"), *([(WORKSPACE, WORKSPACE)] if here else [])]:
        try:
            arm = _read_arm(name, rev, like)
        except InputError as error:
            (left if (name, rev) in done else quiet).append(f"{name}: {error}")
            continue
        if all((arm.ratio, arm.lr, arm.measures) != (other.ratio, other.lr, other.measures) for other in arms):
            arms.append(arm)
    return sorted(arms, key=lambda arm: (arm.lr, arm.ratio)), left if arms else [*left, *quiet]


def _read_arm(name: str, rev: str, like: dict[str, Any]) -> Arm:
    from dvc.api import DVCFileSystem

    lock = read_lock(rev)
    if not finished(lock):
        raise InputError("not run to its end")
    other = [path for path, content in shared(lock).items() if content != like[path]]
    if other:
        raise InputError(f"{other[0]} is another, figures cannot be compared")
    if rev == WORKSPACE and (stale := [path for path in FILES if not in_place(path, lock)]):
        raise InputError(f"{stale[0]} is not that of dvc.lock; `dvc checkout` brings it")
    files = DVCFileSystem(rev=None if rev == WORKSPACE else rev)

    def read(path: str) -> Any:  # noqa: ANN401 (a JSON document may be anything)
        try:
            return json.loads(files.read_text(path))
        except FileNotFoundError:
            raise InputError(f"{path} is not in DVC's cache; run the arm again") from None

    measures = {(line["part"], line["key"]): line for line in read(COMPARED)["measures"]}
    for part, key in (("voc", "f1"), ("mmlu", "acc")):
        if not {"base", "tuned"} <= measures.get((part, key), {"models": {}})["models"].keys():
            raise InputError(f"{part}.{key} was not measured for base and tuned model")
    ratio, lr = ratio_and_lr(lock)
    given = budget(read("metrics/mix.json")["mix"], read("metrics/train.json")["train"], lr)
    return Arm(name, ratio, lr, measures, given, files)


def f1_change(one: Arm, other: Arm, resamples: int, seed: int) -> Change:
    """Return by how much the VOC F1 of `other` differs from that of `one`, comment by comment."""
    items = BY_NAME["voc.f1"].items
    assert items is not None

    def counts(arm: Arm) -> Counts:
        assert arm.files is not None
        rows = arm.files.read_text(SCORED).splitlines()
        return np.array([items.counts(json.loads(row)) for row in rows], np.int64)

    return change(counts(one), counts(other), items.statistic, resamples, seed)
