"""The name and the widest vector instructions of the processor are read."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.core.processor import Processor, parse_cpuinfo, read_processor

ROOT = Path(__file__).parents[2]
PROCESSORS = {
    "AMX": ("model name\t: Xeon 8481C\nflags\t\t: fpu avx2 avx512f amx_tile\n", Processor("Xeon 8481C", "AMX")),
    "AVX-512": ("model name\t: Xeon\nflags\t\t: fpu avx2 avx512f\n", Processor("Xeon", "AVX-512")),
    "AVX2": ("model name\t: EPYC 7B13 \nflags\t\t: fpu avx avx2\n", Processor("EPYC 7B13", "AVX2")),
    "no known vector instructions": ("model name\t: Pentium\nflags\t\t: fpu sse2\n", Processor("Pentium", None)),
    "two processors": ("model name : A\nflags : avx2\n\nmodel name : B\nflags : sse2\n", Processor("A", "AVX2")),
    "Raspberry Pi": ("Features\t: fp asimd\n\nModel\t\t: Raspberry Pi 5\n", Processor("Raspberry Pi 5", "NEON")),
}


@pytest.mark.parametrize(("text", "expected"), PROCESSORS.values(), ids=PROCESSORS)
def test_the_name_and_the_widest_instructions_are_read_from_cpuinfo(text, expected):
    assert parse_cpuinfo(text) == expected


@pytest.mark.parametrize(("machine", "instructions"), [("arm64", "NEON"), ("x86_64", None)])
def test_without_cpuinfo_platform_names_the_processor(machine, instructions, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert read_processor(tmp_path / "none") == Processor(machine, instructions)


def test_the_recorded_environment_is_the_same_with_and_without_torch_loaded():
    code = (
        "from alloy.core.versions import describe_environment; e = describe_environment(); e.pop('gpu', None); print(e)"
    )
    with_torch, without = (
        subprocess.run(
            [sys.executable, "-c", prefix + code], cwd=ROOT, text=True, capture_output=True, check=True
        ).stdout
        for prefix in ("import torch; ", "import sys; assert 'torch' not in sys.modules; ")
    )
    assert with_torch == without
    assert "'instructions': " in without
