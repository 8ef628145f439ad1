"""Runs of this commit, as DVC and git keep them: what is finished, and by which settings it was made.

Settings are those of a run's dvc.lock: params.yaml may have been edited since.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from alloy.core.files import InputError, Row
from alloy.core.git import run_git
from alloy.core.yaml_text import load_yaml

WORKSPACE = "workspace"
# What must be the same for metrics to be compared: the comments asked, the general rows that the loss is measured on,
# and what base answered to everything.
SHARED = (
    "data/split",
    "data/decontaminate",
    *(f"metrics/{stage}/base.json" for stage in ("score", "mmlu", "ifeval", "general", "chat")),
)


def experiments() -> tuple[list[tuple[str, str]], list[str]]:
    """Return (name, revision) of each finished experiment of this commit, and a line for each that is not finished."""
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        rows = dvc.api.exp_show()
    except DvcException as error:
        raise InputError(f"dvc: {error}") from None
    found = [row for row in rows if row["typ"] != "baseline"]
    # DVC gives an experiment that failed or waits the figures of its commit.
    done = [(row["Experiment"] or row["rev"], row["rev"]) for row in found if row["State"] in (None, "Success")]
    names = {name for name, _ in done}
    undone = {row["Experiment"]: row["State"] for row in found if row["Experiment"] not in names}
    return done, [f"{name}: {state.lower()}, it has no figures" for name, state in undone.items()]


def read_lock(rev: str) -> Row:
    """Return the stages of the dvc.lock of a revision, or of the workspace."""
    text = Path("dvc.lock").read_text(encoding="utf-8") if rev == WORKSPACE else run_git("show", f"{rev}:./dvc.lock")
    return load_yaml(text, "dvc.lock")["stages"]


@dataclass(frozen=True)
class Settings:
    """What a run set: mix ratio, learning rate and seed; `others` is all other params, code and data, as text."""

    ratio: float
    lr: float
    seed: int
    others: str


def settings_of(lock: Row) -> Settings:
    """Return what the stages of a lock ran by; the gate, which changes no figure, is not part of it.

    Runs with the same ratio, learning rate and `others` are of one configuration.
    """
    names = upstream(lock, "compare")
    params: dict[str, Any] = {}
    for name in names:
        for file, values in lock[name].get("params", {}).items():
            params |= {f"{file}:{key}": value for key, value in _flat(values)}
    (profile,) = (file for file in lock["train"]["params"] if file.startswith("profiles/"))
    # PyYAML reads 1e-05 as a string.
    ratio, lr = float(params.pop("params.yaml:mix.ratio")), float(params.pop(f"{profile}:train.lr"))
    seed = int(params.pop("params.yaml:seed", 0))
    kept = {key: value for key, value in params.items() if not key.startswith("params.yaml:gate")}
    makers = _makers(lock)
    given = {dep["path"]: dep.get("md5") for name in names for dep in lock[name].get("deps", [])}
    inputs = {path: content for path, content in given.items() if not _made_at(path, makers)}
    return Settings(ratio, lr, seed, json.dumps([ratio, lr, kept, inputs], sort_keys=True, default=str))


def _flat(values: Row, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value below a mapping with its dotted key."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def in_place(path: str, lock: Row) -> bool:
    """Say whether the workspace's file is the one that a lock's stages made: a checkout by git alone leaves others."""
    file = Path(path)
    if not file.is_file():
        return False
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == _hashes(lock).get(path)


def shared(lock: Row) -> dict[str, Any]:
    """Return the hashes of what runs must share, by path."""
    made = _hashes(lock)
    return {path: made.get(path) for path in SHARED}


def upstream(lock: Row, last: str) -> list[str]:
    """Return the stages of a lock that `last` follows from, by name, with itself."""
    makers = _makers(lock)
    todo, found = [last], set[str]()
    while todo:
        name = todo.pop()
        if name not in found and name in lock:
            found.add(name)
            todo += [maker for dep in lock[name].get("deps", []) for maker, _ in _made_at(dep["path"], makers).values()]
    return sorted(found)


def _makers(lock: Row) -> dict[str, tuple[str, str | None]]:
    """Return (stage, hash) of each output of a lock's stages, by path."""
    return {out["path"]: (name, out.get("md5")) for name, stage in lock.items() for out in stage.get("outs", [])}


def _hashes(lock: Row) -> dict[str, str | None]:
    """Return the hash of each output of a lock's stages, by path."""
    return {path: md5 for path, (_, md5) in _makers(lock).items()}


def _made_at(path: str, makers: dict[str, tuple[str, str | None]]) -> dict[str, tuple[str, str | None]]:
    """Return those of `makers` whose output is at `path`, below it, or a folder that holds it."""
    return {
        out: maker
        for out, maker in makers.items()
        if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/")
    }


def finished(lock: Row) -> bool:
    """Say whether `compare` and each stage before it ran on the latest outputs of the stages before them."""
    return "compare" in lock and not set(upstream(lock, "compare")) & set(stale_stages(lock))


def stale_stages(lock: Row) -> list[str]:
    """Return the stages of a lock that ran on other inputs than the outputs that the lock records now."""
    makers = _makers(lock)
    return [
        name
        for name, stage in lock.items()
        if any((made := _made_at(dep["path"], makers)) and _read_another(dep, made) for dep in stage.get("deps", []))
    ]


def _read_another(dep: Row, made: dict[str, tuple[str, str | None]]) -> bool:
    """Say whether the dependency of a stage had another content than the outputs at its path have now."""
    path = dep["path"]
    if path in made:
        return made[path][1] != dep.get("md5")
    if any(path.startswith(f"{out}/") for out in made):  # a file in a folder, of which the lock has the hash of all
        return False
    return _folder_hash(path, {out: md5 for out, (_, md5) in made.items()}) != dep.get("md5")


def _folder_hash(folder: str, hashes: dict[str, str | None]) -> str | None:
    """Return DVC's hash of a folder that holds exactly the files in `hashes`, by their paths."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for path, md5 in hashes.items():
        tree.add(PurePosixPath(path).relative_to(folder).parts, None, HashInfo("md5", md5))
    tree.digest()
    return tree.oid
