"""Find out how to restore a missing file, and which outputs of stages were edited after DVC recorded them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from alloy.core.files import InputError, Row
from alloy.core.yaml_text import read_yaml

PIPELINE, LOCK = Path("dvc.yaml"), Path("dvc.lock")
MAX_HASHED_BYTES = 2**28  # a larger file is compared by its size only


def explain_restore(path: Path, otherwise: str = "add the file") -> str:
    """Return how to restore a missing or damaged file: run its stage, get it from the DVC cache, or `otherwise`."""
    if stage := find_stage(path):
        return f"`dvc repro {stage}` creates it"
    if is_tracked_by_dvc(path):
        return "`dvc checkout` or `dvc pull` restores it"
    if path.parts[:1] == ("data",):
        return f"{otherwise}, or set another folder under `data` in params.yaml"
    return otherwise


def find_stage(path: Path) -> str | None:
    """Return the address of the stage whose outputs include a file or a folder above it; None if there is none."""
    for pipeline in dict.fromkeys((PIPELINE, path.parent / PIPELINE, path.parent.parent / PIPELINE)):
        for name, stage in _load_stages(pipeline).items():
            for out in _list_output_patterns(stage, pipeline.parent):
                if re.match(rf"{out}(/|$)", os.path.normpath(path)):
                    return name if pipeline == PIPELINE else f"{pipeline}:{name}"
    return None


def is_tracked_by_dvc(path: Path) -> bool:
    """Return whether a file, or a folder above it, was added with `dvc add`."""
    return any(parent.with_name(f"{parent.name}.dvc").is_file() for parent in (path, *path.parents) if parent.name)


def _list_output_patterns(stage: Row, folder: Path) -> Iterator[str]:
    """Yield a regular expression for each output of a stage. With a matrix or a foreach, it matches all items."""
    stage = stage.get("do", stage)
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind) or []:
            path = os.path.normpath(
                folder / (stage.get("wdir") or "") / (out if isinstance(out, str) else next(iter(out)))
            )
            yield "[^/.]+".join(map(re.escape, re.split(r"\$\{(?:item(?:\.\w+)?|key)\}", path)))


def _load_stages(pipeline: Path) -> Row:
    """Return the stages of a dvc.yaml or dvc.lock; an empty dict if it cannot be read: DVC reports that better."""
    try:
        values = read_yaml(pipeline)
    except (OSError, InputError):
        return {}
    stages = values.get("stages") if isinstance(values, dict) else None
    return (
        {name: stage for name, stage in stages.items() if isinstance(stage, dict)} if isinstance(stages, dict) else {}
    )


def find_edited_inputs(stage: str) -> list[str]:
    """Return a line for each input of `stage` that another stage created and that was edited since.

    This is for users who run a stage without DVC. `stage` is a name such as `score`, or an address such as
    `score@tuned`.
    """
    return find_edited_outputs(
        dep["path"]
        for name, entry in _load_stages(LOCK).items()
        if name == stage or name.startswith(f"{stage}@")
        for dep in _list_entries(entry, "deps")
    )


def find_edited_outputs(paths: Iterable[str]) -> list[str]:
    """Return a line for each output of a stage at or below `paths` that was edited since the stage created it.

    Such a file differs from its hash in dvc.lock. `dvc repro` creates it again. A missing file, as in a new clone, was
    not edited: what reads it says that it is missing.
    """
    paths = list(paths)
    return [
        f"{path}: edited since the stage {stage} created it; `dvc repro {stage}` creates it again"
        for stage, entry in _load_stages(LOCK).items()
        for out in _list_entries(entry, "outs")
        for path in [out["path"]]
        if any(path == read or path.startswith(f"{read}/") for read in paths)
        and Path(path).exists()
        and not is_as_recorded(Path(path), out)
    ]


def _list_entries(stage: Row, kind: str) -> list[Row]:
    """Return the entries of a stage in dvc.lock that have a path; others may come from a bad merge."""
    entries = stage.get(kind)
    entries = entries if isinstance(entries, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("path"), str)]


def is_as_recorded(path: Path, out: Row) -> bool:
    """Return whether an output matches its entry `out` in dvc.lock; a large one is compared by its size only."""
    try:
        if not path.is_dir():
            size = path.stat().st_size
            return size == out.get("size", size) and (size > MAX_HASHED_BYTES or _hash_md5(path) == out.get("md5"))
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        if sum(file.stat().st_size for file in files) > MAX_HASHED_BYTES:
            return len(files) == out.get("nfiles")
        entries = [{"md5": _hash_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    except OSError:
        return False
    entries.sort(key=lambda entry: entry["relpath"])
    return f"{hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest()}.dir" == out.get("md5")


def _hash_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
