"""An experiment as docs/evidence/<name>.yaml declares it, and its planned runs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from alloy.comparison.metrics import BY_NAME
from alloy.core.files import InputError, Row
from alloy.core.setting_errors import make_error
from alloy.core.settings import SEED_LIMIT, Settings
from alloy.core.yaml_text import read_yaml

FOLDER = Path("docs/evidence")


class Experiment(Settings):
    """The questions of an experiment, and the runs that answer them. Every configuration is run with every seed.

    - `settings`: values of all runs, by keys such as `mix.ratio` of params.yaml or of the profile.
    - `configurations`: label -> values that differ between configurations.
    - `axis`: the metric of general ability in the plot; null: a bar chart of the task's F1 instead, for configurations
      with different test sets.
    - `max_loss`: the loss on `axis` that is allowed, shown in the plot.
    - `prompt`: the id of the chat prompt whose answers the page shows.
    - `seconds`: expected seconds of each stage. They are used to estimate the time left until a run has been measured.
    - `findings`: sentences for the page, written when the results are known.
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
    def _check_experiment(self) -> Self:
        if self.axis is not None and self.axis not in BY_NAME:
            raise make_error("axis", self.axis, "a metric such as mmlu.acc or leak")
        if len(set(self.seeds)) < len(self.seeds) or not all(0 <= seed < SEED_LIMIT for seed in self.seeds):
            raise make_error("seeds", self.seeds, f"different integers from 0 to {SEED_LIMIT - 1}")
        for label, settings in {"": self.settings, **self.configurations}.items():
            for key in settings:
                if key in ("seed", "gate") or key.startswith("gate."):
                    section = f"configurations.{label}" if label else "settings"
                    fix = "list seeds in `seeds`" if key == "seed" else f"remove `{key}`, since runs have no gate"
                    raise make_error(section, key, "no `seed` and no `gate`", fix)
        names = [make_slug(label) for label in self.configurations]
        if len(set(names)) < len(names) or any("," in label for label in self.configurations):
            expected = "labels that have no commas and differ in letters or digits"
            raise make_error("configurations", list(self.configurations), expected)
        return self

    def list_runs(self) -> list["PlannedRun"]:
        """Return all runs: every configuration with the first seed, then every configuration with the next seed."""
        return [
            PlannedRun(label, seed, {**self.settings, **settings})
            for seed in self.seeds
            for label, settings in self.configurations.items()
        ]

    def select_runs(self, only: str, seeds: str) -> list["PlannedRun"]:
        """Return the runs of some configurations and seeds, given as comma-separated lists; "" means all."""
        labels = _parse_list(only, list(self.configurations), "--only", "configuration")
        numbers = _parse_list(seeds, [str(seed) for seed in self.seeds], "--seeds", "seed")
        return [run for run in self.list_runs() if run.configuration in labels and str(run.seed) in numbers]


@dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment: the label of its configuration, its seed, and all settings of the experiment."""

    configuration: str
    seed: int
    settings: Row

    @property
    def name(self) -> str:
        """The name of the run and of its record."""
        return f"{make_slug(self.configuration)}-seed-{self.seed}"


def make_slug(label: str) -> str:
    """Return a label in the form of a file name: `mix.ratio 0.25` becomes `mix.ratio-0.25`."""
    return re.sub(r"[^\w.]+", "-", label.lower()).strip("-")


def _parse_list(text: str, known: list[str], option: str, kind: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()] or known
    for name in names:
        if name not in known:
            raise InputError(f"{option}: expected a {kind} of the experiment ({', '.join(known)}), got '{name}'")
    return names


def read_experiment(name: str, folder: Path = FOLDER) -> Experiment:
    """Return the experiment that `<folder>/<name>.yaml` declares."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise InputError(f"{path}: no such file; known experiments: {known}")
    try:
        return Experiment.model_validate(read_yaml(path))
    except ValidationError as errors:
        raise InputError("\n".join(f"{path}: {_describe_error(error)}" for error in errors.errors())) from None


def _describe_error(error: Any) -> str:  # noqa: ANN401 (an error of pydantic)
    """Return `key: what is wrong` for one of pydantic's errors."""
    if error["type"] == "refused":
        return f"{error['ctx']['key']}: {error['ctx']['message']}"
    return f"{'.'.join(map(str, error['loc'])) or 'file'}: {error['msg']}"
