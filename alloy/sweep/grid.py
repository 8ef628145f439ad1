"""The points of a sweep: what each arm sets, and which experiment has set it already."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from alloy.comparison.settings import Gate
from alloy.core.files import InputError, Row
from alloy.core.git import git
from alloy.sweep.dvc_experiments import finished, read_lock

# What decides what an arm does; not what DVC writes beside it.
WRITTEN = (":(exclude,glob)**/dvc.lock", ":(exclude,glob)**/.gitignore")
INPUTS = ("dvc.yaml", "params.yaml", "alloy", "stages", "profiles", "data", *WRITTEN)


@dataclass(frozen=True)
class Point:
    """What one arm sets."""

    ratio: float
    lr: float

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return f"ratio-{self.ratio:g}-lr-{self.lr:g}"


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


def overrides(point: Point, gate: Gate, profile: str) -> list[str]:
    """Return what `dvc exp run` is told: an arm's settings, and no gate, whose failure would lose the arm's figures."""
    gates = [f"gate.{name}=null" for name in gate.limits()]
    sets = [f"mix.ratio={point.ratio!r}", f"profiles/{profile}.yaml:train.lr={point.lr!r}", *gates]
    return [word for setting in sets for word in ("-S", setting)]


def settings(read: Callable[[str], str], profile: str) -> tuple[Row, Row]:
    """Return params and profile, without the gate; `read` gives a file's text."""
    params, scale = (OmegaConf.to_container(OmegaConf.create(read(file))) for file in ("params.yaml", profile))
    assert isinstance(params, dict) and isinstance(scale, dict)
    return {str(key): value for key, value in params.items() if key != "gate"}, {str(k): v for k, v in scale.items()}


def point_of(rev: str, profile: str) -> Point | None:
    """Return what an experiment set, or None: it is not finished, or differs from the workspace in more than an arm."""
    if not finished(read_lock(rev)):
        return None
    if git("diff", "--name-only", rev, "--", *INPUTS, ":(exclude)params.yaml", f":(exclude){profile}"):
        return None
    own, scale = settings(lambda file: git("show", f"{rev}:./{file}"), profile)
    here, here_scale = settings(lambda file: Path(file).read_text(encoding="utf-8"), profile)
    point = Point(float(own["mix"]["ratio"]), float(scale["train"]["lr"]))
    here["mix"]["ratio"], here_scale["train"]["lr"] = own["mix"]["ratio"], scale["train"]["lr"]
    return point if (own, scale) == (here, here_scale) else None
