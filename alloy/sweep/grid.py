"""The points of a sweep: what each run sets, and which experiment has set it already."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from omegaconf import OmegaConf

from alloy.comparison.settings import Gate
from alloy.core.files import InputError, Row
from alloy.core.git import run_git
from alloy.sweep.dvc_experiments import finished, read_lock

# What decides what a run does; not what DVC writes beside it.
WRITTEN = (":(exclude,glob)**/dvc.lock", ":(exclude,glob)**/.gitignore")
INPUTS = ("dvc.yaml", "params.yaml", "versions.yaml", "alloy", "stages", "profiles", "data", *WRITTEN)


@dataclass(frozen=True)
class Point:
    """What one run sets."""

    ratio: float
    lr: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return f"ratio-{self.ratio:g}-lr-{self.lr:g}-seed-{self.seed}"


def numbers(name: str, text: str, fits: Callable[[float], bool], kind: str) -> list[float]:
    """Return the numbers of a list with commas, each once; one that does not fit raises `InputError`."""
    found = []
    for word in text.replace(",", " ").split():
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not fits(value):
            raise InputError(f"{name}: '{word}' where {kind} belongs; write numbers with commas between them")
        found.append(value)
    return list(dict.fromkeys(found))


def grid(ratios: list[float], rates: list[float], seeds: list[int]) -> list[Point]:
    """Return the points of a sweep: all configurations with the first seed, then all with the next one.

    So a sweep that is stopped on its way has compared all of them.
    """
    return [Point(ratio, rate, seed) for seed, rate, ratio in product(seeds, rates, ratios)]


def overrides(point: Point, gate: Gate, profile: str) -> list[str]:
    """Return what `dvc exp run` is told: a run's settings, and no gate, whose failure would lose its figures."""
    gates = [f"gate.{name}=null" for name in gate.limits()]
    rate = f"profiles/{profile}.yaml:train.lr={point.lr!r}"
    sets = [f"mix.ratio={point.ratio!r}", rate, f"seed={point.seed}", *gates]
    return [word for setting in sets for word in ("-S", setting)]


def settings(read: Callable[[str], str], profile: str) -> tuple[Row, Row]:
    """Return params and profile, without the gate; `read` gives a file's text."""
    params, scale = (OmegaConf.to_container(OmegaConf.create(read(file))) for file in ("params.yaml", profile))
    assert isinstance(params, dict) and isinstance(scale, dict)
    return {str(key): value for key, value in params.items() if key != "gate"}, {str(k): v for k, v in scale.items()}


def point_of(rev: str, profile: str) -> Point | None:
    """Return what an experiment set, or None: it is not finished, or differs from the workspace in more than that."""
    if not finished(read_lock(rev)):
        return None
    if run_git("diff", "--name-only", rev, "--", *INPUTS, ":(exclude)params.yaml", f":(exclude){profile}"):
        return None
    own, scale = settings(lambda file: run_git("show", f"{rev}:./{file}"), profile)
    here, here_scale = settings(lambda file: Path(file).read_text(encoding="utf-8"), profile)
    point = Point(float(own["mix"]["ratio"]), float(scale["train"]["lr"]), own.setdefault("seed", 0))
    here["mix"]["ratio"], here_scale["train"]["lr"] = own["mix"]["ratio"], scale["train"]["lr"]
    here["seed"] = own["seed"]
    return point if (own, scale) == (here, here_scale) else None
