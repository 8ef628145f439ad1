"""Runs of this commit, as DVC and git keep them: what is finished, and by which settings it was made.

Settings are those of a run's dvc.lock: params.yaml may have been edited since.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from alloy.core.files import InputError, Row
from alloy.core.git import git

WORKSPACE = "workspace"
# What must be the same for metrics to be compared: the comments asked, the general rows that the loss is measured on,
# and what base answered to everything.
SHARED = (
    "data/split",
    "data/decontaminate",
    *(f"metrics/{stage}/base.json" for stage in ("score", "mmlu", "ifeval")),
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
    text = Path("dvc.lock").read_text(encoding="utf-8") if rev == WORKSPACE else git("show", f"{rev}:./dvc.lock")
    return yaml.safe_load(text)["stages"]


def ratio_and_lr(lock: Row) -> tuple[float, float]:
    """Return mix ratio and learning rate by which the stages of a lock ran."""
    (profile,) = (file for file in lock["train"]["params"] if file.startswith("profiles/"))
    ratio, lr = lock["mix"]["params"]["params.yaml"]["mix"]["ratio"], lock["train"]["params"][profile]["train"]["lr"]
    return float(ratio), float(lr)  # PyYAML reads 1e-05 as a string


def in_place(path: str, lock: Row) -> bool:
    """Say whether the workspace's file is the one that a lock's stages made: a checkout by git alone leaves others."""
    file = Path(path)
    return file.is_file() and hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == _made(lock).get(path)


def shared(lock: Row) -> dict[str, Any]:
    """Return the hashes of what arms share, by path."""
    made = _made(lock)
    return {path: made.get(path) for path in SHARED}


def _made(lock: Row) -> dict[str, str | None]:
    """Return the hash of each output of a lock's stages, by path."""
    return {out["path"]: out.get("md5") for stage in lock.values() for out in stage.get("outs", [])}


def finished(lock: Row) -> bool:
    """Say whether `compare` ran on the latest outputs of the stages before it, and each of these likewise.

    1. Start at `compare`.
    2. For each dependency, find the outputs at or below its path. Their hash must be the one that the stage read.
    3. Do the same for the stages that made them.
    """
    makers = {out["path"]: (name, out.get("md5")) for name, stage in lock.items() for out in stage.get("outs", [])}
    todo, seen = ["compare"], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in lock:
            return False
        for dep in lock[name].get("deps", []):
            path = dep["path"]
            below = {out: maker for out, maker in makers.items() if out == path or out.startswith(f"{path}/")}
            if not below:
                continue
            content = (
                below[path][1] if path in below else _folder_hash(path, {out: md5 for out, (_, md5) in below.items()})
            )
            if content != dep.get("md5"):
                return False
            todo += [maker for maker, _ in below.values()]
    return True


def _folder_hash(folder: str, hashes: dict[str, str | None]) -> str | None:
    """Return DVC's hash of a folder that holds exactly the files in `hashes`, by their paths."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for path, md5 in hashes.items():
        tree.add(PurePosixPath(path).relative_to(folder).parts, None, HashInfo("md5", md5))
    tree.digest()
    return tree.oid
