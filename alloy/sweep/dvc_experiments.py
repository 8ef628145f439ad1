"""Experiments of the current commit as DVC and git store them: which are finished, and with which settings.

The settings of a run are read from its dvc.lock, because params.yaml may have been edited since.
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
# Outputs that must be equal for runs to be comparable: the test comments, the general rows on which the loss is
# measured, and the metrics of the base model.
SHARED_OUTPUTS = (
    "data/split",
    "data/decontaminate",
    *(f"metrics/{stage}/base.json" for stage in ("score", "mmlu", "ifeval", "general", "chat")),
)


def list_experiments() -> tuple[list[tuple[str, str]], list[str]]:
    """Return (name, revision) of each finished experiment of this commit, and one line per unfinished experiment."""
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        rows = dvc.api.exp_show()
    except DvcException as error:
        raise InputError(f"dvc: {error}") from None
    experiment_rows = [row for row in rows if row["typ"] != "baseline"]
    # For an experiment that failed or is queued, DVC shows the metrics of its commit.
    finished = [
        (row["Experiment"] or row["rev"], row["rev"]) for row in experiment_rows if row["State"] in (None, "Success")
    ]
    names = {name for name, _ in finished}
    unfinished = {row["Experiment"]: row["State"] for row in experiment_rows if row["Experiment"] not in names}
    return finished, [f"{name}: {state.lower()}, so it has no metrics" for name, state in unfinished.items()]


def read_lock(rev: str) -> Row:
    """Return the stages of the dvc.lock of a revision, or of the workspace."""
    text = Path("dvc.lock").read_text(encoding="utf-8") if rev == WORKSPACE else run_git("show", f"{rev}:./dvc.lock")
    return load_yaml(text, "dvc.lock")["stages"]


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run: mix ratio, learning rate, seed, and a text that identifies its configuration.

    The configuration is everything but the seed: params, code and data.
    """

    ratio: float
    lr: float
    seed: int
    configuration: str


def read_run_settings(lock: Row) -> RunSettings:
    """Return the settings of the stages in a lock, without the gate, which changes no metric.

    Runs with the same `configuration` differ only in their seed.
    """
    names = find_upstream_stages(lock, "compare")
    params: dict[str, Any] = {}
    for name in names:
        for file, values in lock[name].get("params", {}).items():
            params |= {f"{file}:{key}": value for key, value in _flatten_values(values)}
    (profile,) = (file for file in lock["train"]["params"] if file.startswith("profiles/"))
    # PyYAML reads 1e-05 as a string.
    ratio, lr = float(params.pop("params.yaml:mix.ratio")), float(params.pop(f"{profile}:train.lr"))
    seed = int(params.pop("params.yaml:seed", 0))
    other_params = {key: value for key, value in params.items() if not key.startswith("params.yaml:gate")}
    producers = _index_outputs(lock)
    hashes = {dep["path"]: dep.get("md5") for name in names for dep in lock[name].get("deps", [])}
    inputs = {path: content for path, content in hashes.items() if not _find_outputs_at(path, producers)}
    return RunSettings(ratio, lr, seed, json.dumps([ratio, lr, other_params, inputs], sort_keys=True, default=str))


def _flatten_values(values: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of each value in a nested mapping."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def is_in_workspace(path: str, lock: Row) -> bool:
    """Return whether the file in the workspace is the output in the lock; after `git checkout`, it may differ."""
    file = Path(path)
    if not file.is_file():
        return False
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == _index_output_hashes(lock).get(path)


def select_shared_hashes(lock: Row) -> dict[str, Any]:
    """Return the hashes of the outputs that runs must share, by path."""
    hashes = _index_output_hashes(lock)
    return {path: hashes.get(path) for path in SHARED_OUTPUTS}


def find_upstream_stages(lock: Row, last: str) -> list[str]:
    """Return the names of the stages in a lock on which `last` depends, including itself, sorted."""
    producers = _index_outputs(lock)
    pending, stages = [last], set[str]()
    while pending:
        stage = pending.pop()
        if stage not in stages and stage in lock:
            stages.add(stage)
            pending += [
                producer
                for dep in lock[stage].get("deps", [])
                for producer, _ in _find_outputs_at(dep["path"], producers).values()
            ]
    return sorted(stages)


def _index_outputs(lock: Row) -> dict[str, tuple[str, str | None]]:
    """Return (stage, hash) of each output in a lock, by path."""
    return {out["path"]: (name, out.get("md5")) for name, stage in lock.items() for out in stage.get("outs", [])}


def _index_output_hashes(lock: Row) -> dict[str, str | None]:
    """Return the hash of each output in a lock, by path."""
    return {path: md5 for path, (_, md5) in _index_outputs(lock).items()}


def _find_outputs_at(path: str, producers: dict[str, tuple[str, str | None]]) -> dict[str, tuple[str, str | None]]:
    """Return the outputs in `producers` that are at `path`, below it, or a folder that contains it."""
    return {
        out: producer
        for out, producer in producers.items()
        if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/")
    }


def is_finished(lock: Row) -> bool:
    """Return whether `compare` and all stages it depends on ran on the latest outputs of the stages before them."""
    return "compare" in lock and not set(find_upstream_stages(lock, "compare")) & set(find_stale_stages(lock))


def find_stale_stages(lock: Row) -> list[str]:
    """Return the stages in a lock whose inputs differ from the outputs that the lock has for the same paths."""
    producers = _index_outputs(lock)
    return [
        name
        for name, stage in lock.items()
        if any(
            (made := _find_outputs_at(dep["path"], producers)) and _has_changed(dep, made)
            for dep in stage.get("deps", [])
        )
    ]


def _has_changed(dep: Row, made: dict[str, tuple[str, str | None]]) -> bool:
    """Return whether the outputs at the path of a dependency have changed since the stage read it."""
    path = dep["path"]
    if path in made:
        return made[path][1] != dep.get("md5")
    if any(path.startswith(f"{out}/") for out in made):  # the lock has only the hash of the whole folder
        return False
    return _compute_folder_hash(path, {out: md5 for out, (_, md5) in made.items()}) != dep.get("md5")


def _compute_folder_hash(folder: str, hashes: dict[str, str | None]) -> str | None:
    """Return DVC's hash of a folder that contains exactly the files in `hashes` (path -> hash)."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for path, md5 in hashes.items():
        tree.add(PurePosixPath(path).relative_to(folder).parts, None, HashInfo("md5", md5))
    tree.digest()
    return tree.oid
