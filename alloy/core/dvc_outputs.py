"""Which files DVC makes or keeps, how one that is missing comes back, and which were edited since DVC recorded them."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row
from alloy.core.yaml_text import read_yaml

PIPELINE, LOCK = Path("dvc.yaml"), Path("dvc.lock")
LARGE = 2**28  # bytes of a file that is not read to find out whether it was edited


def how_to_make(path: Path) -> str:
    """Return how a file that is missing or damaged comes back: the stage that makes it, DVC's cache, or the user."""
    if stage := made_by(path):
        return f"`dvc repro {stage}` makes it"
    if kept_by_dvc(path):
        return "`dvc checkout` or `dvc pull` brings it back"
    if path.parts[:1] == ("data",):
        return "put it there, or name another folder under `data` in params.yaml"
    return "put it there"


def made_by(path: Path) -> str | None:
    """Return the address of the stage that has a file, or a folder above it, among its outputs; None if none has."""
    for pipeline in dict.fromkeys((PIPELINE, path.parent / PIPELINE, path.parent.parent / PIPELINE)):
        for name, stage in _stages(pipeline).items():
            for out in _outputs(stage, pipeline.parent):
                if re.match(rf"{out}(/|$)", os.path.normpath(path)):
                    return name if pipeline == PIPELINE else f"{pipeline}:{name}"
    return None


def kept_by_dvc(path: Path) -> bool:
    """Say whether `dvc add` was told of a file or of a folder above it."""
    return any(one.with_name(f"{one.name}.dvc").is_file() for one in (path, *path.parents) if one.name)


def _outputs(stage: Row, folder: Path) -> Iterator[str]:
    """Yield a pattern for each output of a stage: of a matrix or a foreach, for any of its items."""
    stage = stage.get("do", stage)
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind) or []:
            path = os.path.normpath(
                folder / (stage.get("wdir") or "") / (out if isinstance(out, str) else next(iter(out)))
            )
            yield "[^/.]+".join(map(re.escape, re.split(r"\$\{(?:item(?:\.\w+)?|key)\}", path)))


def _stages(pipeline: Path) -> Row:
    """Return the stages of a dvc.yaml or dvc.lock; none if it cannot be read, which DVC says better."""
    try:
        values = read_yaml(pipeline)
    except (OSError, InputError):
        return {}
    stages = values.get("stages") if isinstance(values, dict) else None
    return (
        {name: stage for name, stage in stages.items() if isinstance(stage, dict)} if isinstance(stages, dict) else {}
    )


def edited_inputs(stage: str) -> list[str]:
    """Return a line per file that `stage` reads, another stage made, and that is not what dvc.lock recorded of it.

    DVC makes such a file again before it runs the stage; one who runs the stage alone may need to be told. `stage` is a
    name such as `score`, or the address of one of a matrix, `score@tuned`.
    """
    recorded = _stages(LOCK)
    read = {
        dep["path"]
        for name, entry in recorded.items()
        if name == stage or name.startswith(f"{stage}@")
        for dep in entry.get("deps") or []
    }
    return [
        f"{path}: edited since the stage {name} made it; `dvc repro {name}` makes it again"
        for name, entry in recorded.items()
        for out in entry.get("outs") or []
        for path in [out["path"]]
        if any(path == dep or path.startswith(f"{dep}/") for dep in read) and not is_as_recorded(Path(path), out)
    ]


def is_as_recorded(path: Path, out: Row) -> bool:
    """Say whether an output is what an entry of dvc.lock says of it; what is large is judged by its size."""
    try:
        if not path.is_dir():
            size = path.stat().st_size
            return size == out.get("size", size) and (size > LARGE or _md5(path) == out.get("md5"))
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        if sum(file.stat().st_size for file in files) > LARGE:
            return len(files) == out.get("nfiles")
        listed = [{"md5": _md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    except OSError:
        return False
    listed.sort(key=lambda entry: entry["relpath"])
    return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir" == out.get("md5")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
