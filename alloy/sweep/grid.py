"""The grid of a sweep: the settings of each run, and which experiment already has them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from omegaconf import OmegaConf

from alloy.comparison.settings import Gate
from alloy.core.files import InputError, Row
from alloy.core.git import run_git
from alloy.sweep.dvc_experiments import is_finished, read_lock

# The files that determine the result of a run, without those that DVC writes.
NOT_WRITTEN_BY_DVC = (":(exclude,glob)**/dvc.lock", ":(exclude,glob)**/.gitignore")
INPUTS = ("dvc.yaml", "params.yaml", "versions.yaml", "alloy", "stages", "profiles", "data", *NOT_WRITTEN_BY_DVC)


@dataclass(frozen=True)
class GridPoint:
    """The settings of one run of a sweep."""

    ratio: float
    lr: float
    seed: int

    @property
    def name(self) -> str:
        """The name of the DVC experiment."""
        return f"ratio-{self.ratio:g}-lr-{self.lr:g}-seed-{self.seed}"


def parse_numbers(option: str, text: str, is_valid: Callable[[float], bool], expected: str) -> list[float]:
    """Return the distinct numbers of a comma-separated list; raise `InputError` if one is not valid."""
    values = []
    for word in text.replace(",", " ").split():
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not is_valid(value):
            raise InputError(f"{option}: expected {expected}, got '{word}'; separate numbers by commas")
        values.append(value)
    return list(dict.fromkeys(values))


def make_grid(ratios: list[float], rates: list[float], seeds: list[int]) -> list[GridPoint]:
    """Return the points of a sweep: all configurations with the first seed, then all with the next seed.

    So a sweep that is stopped early can already compare all configurations.
    """
    return [GridPoint(ratio, rate, seed) for seed, rate, ratio in product(seeds, rates, ratios)]


def make_overrides(point: GridPoint, gate: Gate, profile: str) -> list[str]:
    """Return the options of `dvc exp run`: a run's settings, and no gate, since a failed run loses its metrics."""
    gates = [f"gate.{name}=null" for name in gate.get_limits()]
    rate = f"profiles/{profile}.yaml:train.lr={point.lr!r}"
    settings = [f"mix.ratio={point.ratio!r}", rate, f"seed={point.seed}", *gates]
    return [word for setting in settings for word in ("-S", setting)]


def read_settings(read_text: Callable[[str], str], profile: str) -> tuple[Row, Row]:
    """Return the values of params.yaml, without the gate, and of the profile; `read_text` returns a file's text."""
    params, profile_values = (
        OmegaConf.to_container(OmegaConf.create(read_text(file))) for file in ("params.yaml", profile)
    )
    assert isinstance(params, dict) and isinstance(profile_values, dict)
    return {str(key): value for key, value in params.items() if key != "gate"}, {
        str(k): v for k, v in profile_values.items()
    }


def find_point(rev: str, profile: str) -> GridPoint | None:
    """Return the grid point of an experiment.

    None if it is not finished, or differs from the workspace in more than ratio, learning rate and seed.
    """
    if not is_finished(read_lock(rev)):
        return None
    if run_git("diff", "--name-only", rev, "--", *INPUTS, ":(exclude)params.yaml", f":(exclude){profile}"):
        return None
    params, profile_values = read_settings(lambda file: run_git("show", f"{rev}:./{file}"), profile)
    current_params, current_profile = read_settings(lambda file: Path(file).read_text(encoding="utf-8"), profile)
    point = GridPoint(float(params["mix"]["ratio"]), float(profile_values["train"]["lr"]), params.setdefault("seed", 0))
    current_params["mix"]["ratio"], current_profile["train"]["lr"] = (
        params["mix"]["ratio"],
        profile_values["train"]["lr"],
    )
    current_params["seed"] = params["seed"]
    return point if (params, profile_values) == (current_params, current_profile) else None
