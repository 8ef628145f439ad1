"""The processor of this machine: its name and its widest vector instructions. Rounding depends on both."""

import platform
import re
from pathlib import Path
from typing import NamedTuple

CPUINFO = Path("/proc/cpuinfo")
# Vector instructions and the flag in /proc/cpuinfo that shows each of them, the widest first.
VECTOR_FLAGS = {"AMX": "amx_tile", "AVX-512": "avx512f", "AVX2": "avx2", "SVE": "sve", "NEON": "asimd"}


class Processor(NamedTuple):
    """A processor's name and its widest vector instructions, such as AVX2; None if they are not known."""

    name: str
    instructions: str | None


def read_processor(cpuinfo: Path = CPUINFO) -> Processor:
    """Return the processor of this machine, from /proc/cpuinfo or, on systems without it, from `platform`."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:  # macOS, Windows
        text = ""
    return parse_cpuinfo(text)


def parse_cpuinfo(text: str) -> Processor:
    r"""Return the first processor in the text of /proc/cpuinfo. Missing values come from `platform`.

    >>> parse_cpuinfo("model name : AMD EPYC\nflags : fpu avx2\n")
    Processor(name='AMD EPYC', instructions='AVX2')
    """
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return Processor(
        name[1].strip() if name else platform.processor() or platform.machine(),
        _find_widest_instructions(set(flags[1].split())) if flags else _guess_instructions(platform.machine()),
    )


def _find_widest_instructions(flags: set[str]) -> str | None:
    return next((name for name, flag in VECTOR_FLAGS.items() if flag in flags), None)


def _guess_instructions(machine: str) -> str | None:
    """Return the vector instructions that every processor of this kind has; None if that is not known."""
    return "NEON" if machine.lower() in ("arm64", "aarch64") else None
