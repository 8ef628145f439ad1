"""Read the entry of a stage in dvc.yaml, and check that its inputs do not change while it runs.

DVC records the parameters and files that a stage depends on after the stage has ended, in dvc.lock and in its run
cache. If one of them were edited while the stage runs, DVC would record the edited version as its input.
"""

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row, remove_temporary_files
from alloy.core.yaml_text import read_yaml

PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")
MAX_HASHED_BYTES = 2**24  # a larger file would take too long to hash
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
TEMPLATE_KEYS = ("profile", "data")  # keys of params.yaml that dvc.yaml refers to


def read_stage_entry(stage: str, item: str = "") -> Row:
    """Return the entry of `stage` in dvc.yaml with its references filled in; empty if there is no such stage.

    `item` is the model of a stage with a matrix, or the key of a stage with a `foreach`.
    """
    if not PIPELINE.is_file():
        return {}
    entry = read_yaml(PIPELINE)["stages"].get(stage, {})
    values = {**_load_yaml(PARAMS), "item": {"model": item}}
    if "foreach" in entry:
        items = _fill_references(entry["foreach"], values)
        values |= {"key": item, "item": items.get(item) if isinstance(items, dict) else item}
        entry = entry["do"]
    return _fill_references(entry, values)


def _fill_references(template: Any, values: Row) -> Any:  # noqa: ANN401 (any YAML value)
    """Return `template` with each `${key}` in it replaced by its value."""
    if isinstance(template, dict):
        return {_fill_references(key, values): _fill_references(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill_references(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if whole := REFERENCE.fullmatch(template):
        return _get_value(values, whole[1])
    return REFERENCE.sub(lambda match: str(_get_value(values, match[1])), template)


def list_watched_sections(root: Path) -> tuple[set[str], set[str]]:
    """Return (params, profile): the sections of each that stages depend on; empty sets without a dvc.yaml."""
    if not (root / PIPELINE).is_file():
        return set(), set()
    params, profile = {*TEMPLATE_KEYS, "seed"}, set[str]()
    for stage in read_yaml(root / PIPELINE)["stages"].values():
        for entry in stage.get("do", stage).get("params", []):
            if isinstance(entry, dict):
                profile |= {key for file, keys in entry.items() if file.startswith("profiles/") for key in keys}
            else:
                params.add(entry.partition(".")[0])
    return params, profile


def list_files(paths: Iterable[str]) -> list[Path]:
    """Return the files at and below `paths`, sorted, without compiled Python files."""
    files = {file for path in map(Path, paths) for file in (path, *path.rglob("*")) if file.is_file()}
    return sorted(file for file in files if "__pycache__" not in file.parts)


def read_current_stage() -> Row:
    """Return the entry in dvc.yaml of the stage that DVC is running now; empty if DVC did not start this process."""
    address = os.environ.get("DVC_STAGE", "")
    name, _, model = address.rpartition(":")[2].partition("@")
    return read_stage_entry(name, model) if address else {}


@contextmanager
def require_unchanged_inputs(stage: Row) -> Iterator[None]:
    """Raise `InputError` if parameters or files that `stage` depends on change within the `with` block.

    On entry, remove temporary files that killed runs of the stage left.
    """
    if "RANK" not in os.environ:  # otherwise other processes of the stage may be writing already
        for out in (out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])):
            remove_temporary_files(Path(out if isinstance(out, str) else next(iter(out))))
    before = _read_states(stage)
    yield
    after = _read_states(stage)
    for file, key in sorted(before.keys() | after.keys()):
        if before.get((file, key)) != after.get((file, key)):
            raise InputError(
                f"{file}: {f'{key} ' if key else ''}changed while this stage ran, so DVC would record an input that "
                "the stage may not have read; keep or undo the change, and run `dvc repro` again"
            )


def _read_states(stage: Row) -> dict[tuple[Path, str], object]:
    return {(file, key): _read_state(file, key) for file, key in _list_inputs(stage)} if stage else {}


def _list_inputs(stage: Row) -> Iterator[tuple[Path, str]]:
    """Yield what DVC records as inputs of `stage`: each parameter as (file, key), each file as (file, "")."""
    for key in TEMPLATE_KEYS:
        yield PARAMS, key
    for entry in stage.get("params", []):
        for file, keys in entry.items() if isinstance(entry, dict) else [(PARAMS, [entry])]:
            for key in keys:
                yield Path(file), key
    for file in list_files(stage["deps"]):
        yield file, ""


def _read_state(file: Path, key: str) -> object:
    """Return the value of `key` in a file; without a key, the state of the file; None if it does not exist.

    The state of a small file is its hash, since git may rewrite it with the same content. The state of a large file is
    its size and modification time.
    """
    if key:
        return _get_value(_load_yaml(file), key)
    try:
        status = file.stat()
        is_small = status.st_size <= MAX_HASHED_BYTES
        return hashlib.sha256(file.read_bytes()).digest() if is_small else (status.st_size, status.st_mtime_ns)
    except OSError:
        return None


def _load_yaml(file: Path) -> Row:
    """Return the values in a YAML file; an empty dict if it cannot be read, since the stage reports that better."""
    try:
        values = read_yaml(file)
    except (OSError, InputError):
        return {}
    return values if isinstance(values, dict) else {}


def _get_value(values: Any, key: str) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the value of a key such as `mix.ratio`, or None."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def record_dvc_process() -> None:
    """Record the dvc process that started this stage in `ALLOY_DVC`, which child processes inherit."""
    if "DVC_STAGE" in os.environ:
        os.environ["ALLOY_DVC"] = f"{socket.gethostname()}:{_find_dvc_process()}"


def _find_dvc_process() -> int:
    """Return the id of the dvc process that started this one. A shell between them is skipped: it may outlive dvc."""
    import psutil

    for process in psutil.Process().parents():
        with suppress(psutil.Error):
            if any(os.path.basename(word) == "dvc" for word in process.cmdline()[:3]):  # `dvc ...`, `python -m dvc ...`
                return process.pid
    return os.getppid()


def is_orphaned() -> bool:
    """Return whether the dvc process that started this stage has ended."""
    import psutil

    host, _, pid = os.environ.get("ALLOY_DVC", "").rpartition(":")
    if host != socket.gethostname():
        return False
    try:  # a zombie has ended, but its parent has not asked for its exit status yet
        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
