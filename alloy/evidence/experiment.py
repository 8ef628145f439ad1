"""An experiment as docs/evidence/<name>.yaml declares it, and the runs that it consists of."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from alloy.comparison.metrics import BY_NAME
from alloy.core.files import InputError, Row
from alloy.core.settings import SEED_LIMIT, Settings, refuse
from alloy.core.yaml_text import read_yaml

FOLDER = Path("docs/evidence")


class Experiment(Settings):
    """What is asked, and which runs answer it.

    `settings` are those of all runs and `configurations` those of each one, by label: keys such as `mix.ratio`, of
    params.yaml or of the profile, with their values. Every configuration is run with every seed. `axis` is the metric
    of general ability in the plot; null: bars of the task's F1, for configurations that have tests of their own.
    `prompt` is the id of the chat prompt whose answers the page shows. `seconds` a stage takes are for the time left,
    until a run has been measured. `findings` are sentences, written when the results are known.
    """

    title: str
    questions: list[str] = Field(min_length=1)
    settings: dict[str, Any]
    configurations: dict[str, dict[str, Any]] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    axis: str | None = "mmlu.acc"
    max_loss: float = Field(default=0.02, ge=0)
    prompt: str = "fact"
    seconds: dict[str, float] = Field(default_factory=dict)
    findings: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.axis is not None and self.axis not in BY_NAME:
            raise refuse("axis", self.axis, "a metric such as mmlu.acc or leak")
        if len(set(self.seeds)) < len(self.seeds) or not all(0 <= seed < SEED_LIMIT for seed in self.seeds):
            raise refuse("seeds", self.seeds, f"different integers from 0 to {SEED_LIMIT - 1}")
        for label, own in {"": self.settings, **self.configurations}.items():
            for key in own:
                if key in ("seed", "gate") or key.startswith("gate."):
                    where = f"configurations.{label}" if label else "settings"
                    raise refuse(where, key, "other keys: `seeds` are listed, and runs have no gate")
        names = [slug(label) for label in self.configurations]
        if len(set(names)) < len(names) or any("," in label for label in self.configurations):
            wanted = "labels without commas that differ in letters or digits"
            raise refuse("configurations", list(self.configurations), wanted)
        return self

    def points(self) -> list["Point"]:
        """Return all runs: every configuration with the first seed, then every one with the next."""
        return [
            Point(label, seed, {**self.settings, **own})
            for seed in self.seeds
            for label, own in self.configurations.items()
        ]

    def chosen(self, only: str, seeds: str) -> list["Point"]:
        """Return the runs of the configurations and the seeds that two lists with commas name; "" is all of them."""
        labels = _listed(only, list(self.configurations), "--only", "configuration")
        numbers = _listed(seeds, [str(seed) for seed in self.seeds], "--seeds", "seed")
        return [point for point in self.points() if point.configuration in labels and str(point.seed) in numbers]


@dataclass(frozen=True)
class Point:
    """One run: its configuration's label, its seed, and all settings that the experiment makes."""

    configuration: str
    seed: int
    settings: Row

    @property
    def name(self) -> str:
        """The name of its record."""
        return f"{slug(self.configuration)}-seed-{self.seed}"


def slug(label: str) -> str:
    """Return a label as a file's name has it: `mix.ratio 0.25` is `mix.ratio-0.25`."""
    return re.sub(r"[^\w.]+", "-", label.lower()).strip("-")


def _listed(text: str, known: list[str], option: str, kind: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()] or known
    for word in words:
        if word not in known:
            raise InputError(f"{option}: expected a {kind} of the experiment ({', '.join(known)}), got '{word}'")
    return words


def read_experiment(name: str, folder: Path = FOLDER) -> Experiment:
    """Return the experiment that `<folder>/<name>.yaml` declares."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise InputError(f"{path}: no such file; known experiments: {known}")
    try:
        return Experiment.model_validate(read_yaml(path))
    except ValidationError as found:
        raise InputError("\n".join(f"{path}: {_said(error)}" for error in found.errors())) from None


def _said(error: Any) -> str:  # noqa: ANN401 (an error of pydantic)
    """Return `key: what is wrong` of one of pydantic's errors."""
    if error["type"] == "refused":
        context = error["ctx"]
        return f"{context['key']}: expected {context['expected']}, got {context['shown']}"
    return f"{'.'.join(map(str, error['loc'])) or 'file'}: {error['msg']}"
