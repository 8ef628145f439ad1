"""What dvc.yaml says of a stage, and whether what DVC records of it is what the stage has read.

DVC records params and files after a stage's command has ended, in dvc.lock and in its cache of runs. What is edited
beside a running stage would so be recorded as what its results were made of.
"""

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row, remove_parts
from alloy.core.yaml_text import read_yaml

PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")
SMALL = 2**24  # bytes, which take some hundredths of a second
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
NAMED = ("profile", "data")  # params that DVC puts into dvc.yaml: which files the next stages read


def declared(stage: str, item: str = "") -> Row:
    """Return what dvc.yaml says of `stage`, empty where it is none; `item` is its item, where it has several.

    That is the model of a stage with a matrix, the key of a stage with a `foreach`.
    """
    if not PIPELINE.is_file():
        return {}
    found = read_yaml(PIPELINE)["stages"].get(stage, {})
    values = {**_load(PARAMS), "item": {"model": item}}
    if "foreach" in found:
        items = _filled(found["foreach"], values)
        values |= {"key": item, "item": items.get(item) if isinstance(items, dict) else item}
        found = found["do"]
    return _filled(found, values)


def _filled(given: Any, values: Row) -> Any:  # noqa: ANN401 (whatever YAML holds)
    """Return `given` with each `${key}` in it replaced by its value."""
    if isinstance(given, dict):
        return {_filled(key, values): _filled(value, values) for key, value in given.items()}
    if isinstance(given, list):
        return [_filled(value, values) for value in given]
    if not isinstance(given, str):
        return given
    if whole := REFERENCE.fullmatch(given):
        return _at(values, whole[1])
    return REFERENCE.sub(lambda one: str(_at(values, one[1])), given)


def watched_sections(root: Path) -> tuple[set[str], set[str]]:
    """Return the names of the sections of params.yaml and of a profile that stages watch; none without dvc.yaml."""
    if not (root / PIPELINE).is_file():
        return set(), set()
    params, profile = {*NAMED, "seed"}, set[str]()
    for stage in read_yaml(root / PIPELINE)["stages"].values():
        for entry in stage.get("do", stage).get("params", []):
            if isinstance(entry, dict):
                profile |= {key for file, keys in entry.items() if file.startswith("profiles/") for key in keys}
            else:
                params.add(entry.partition(".")[0])
    return params, profile


def files(paths: Iterable[str]) -> list[Path]:
    """Return the files at and below `paths`, in order, without what Python compiles there."""
    found = {file for path in map(Path, paths) for file in (path, *path.rglob("*")) if file.is_file()}
    return sorted(file for file in found if "__pycache__" not in file.parts)


def under_dvc() -> Row:
    """Return what dvc.yaml says of the stage that DVC has started this process for; empty without DVC."""
    address = os.environ.get("DVC_STAGE", "")
    name, _, model = address.rpartition(":")[2].partition("@")
    return declared(name, model) if address else {}


@contextmanager
def recorded(stage: Row) -> Iterator[None]:
    """Raise `InputError` where, at the end, params or files that DVC will record of `stage` are not those before.

    What killed runs have left half-written of its results is removed first.
    """
    if "RANK" not in os.environ:  # else other processes of the stage may be writing already
        for entry in (one for kind in ("outs", "metrics", "plots") for one in stage.get(kind, [])):
            remove_parts(Path(entry if isinstance(entry, str) else next(iter(entry))))
    before = _states(stage)
    yield
    after = _states(stage)
    for file, key in sorted(before.keys() | after.keys()):
        if before.get((file, key)) != after.get((file, key)):
            raise InputError(
                f"{file}: {f'{key} ' * bool(key)}was changed while this stage ran, and DVC would record it as what the "
                "results were made of; run `dvc repro` again, with the change or without it"
            )


def _states(stage: Row) -> dict[tuple[Path, str], object]:
    return {one: _state(*one) for one in _watched(stage)} if stage else {}


def _watched(stage: Row) -> Iterator[tuple[Path, str]]:
    """Yield each param that DVC records of `stage` as (file, key), and each file with no key."""
    for key in NAMED:
        yield PARAMS, key
    for entry in stage.get("params", []):
        for file, keys in entry.items() if isinstance(entry, dict) else [(PARAMS, [entry])]:
            for key in keys:
                yield Path(file), key
    for file in files(stage["deps"]):
        yield file, ""


def _state(file: Path, key: str) -> object:
    """Return the value of `key`, or without one what tells the file's content from another; None where there is none.

    It is a hash of a small file, which git may write anew as it was, else the size and the time of change.
    """
    if key:
        return _at(_load(file), key)
    try:
        status = file.stat()
        small = status.st_size <= SMALL
        return hashlib.sha256(file.read_bytes()).digest() if small else (status.st_size, status.st_mtime_ns)
    except OSError:
        return None


def _load(file: Path) -> Row:
    """Return the values in a YAML file; none where it cannot be read, which the stage says better."""
    try:
        values = read_yaml(file)
    except (OSError, InputError):
        return {}
    return values if isinstance(values, dict) else {}


def _at(values: Any, key: str) -> Any:  # noqa: ANN401 (whatever YAML holds)
    """Return the value at a key such as `mix.ratio`; None where there is none."""
    for word in key.split("."):
        values = values.get(word) if isinstance(values, dict) else None
    return values


def remember_dvc() -> None:
    """Note which dvc started this stage, if one did, for the processes that it starts as well."""
    if "DVC_STAGE" in os.environ:
        os.environ["ALLOY_DVC"] = f"{socket.gethostname()}:{_dvc()}"


def _dvc() -> int:
    """Return the number of the dvc that started this process, maybe by a shell between them, which would outlive it."""
    import psutil

    for process in psutil.Process().parents():
        with suppress(psutil.Error):
            if any(os.path.basename(word) == "dvc" for word in process.cmdline()[:3]):  # `dvc ..`, `python -m dvc ..`
                return process.pid
    return os.getppid()


def orphaned() -> bool:
    """Say whether the dvc that started this training is gone."""
    import psutil

    host, _, pid = os.environ.get("ALLOY_DVC", "").rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE  # dead, where nobody asks for its exit status
    except psutil.NoSuchProcess:
        return True
