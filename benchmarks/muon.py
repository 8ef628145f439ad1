"""Measure milliseconds per step of two Muon optimizers, torch's and Alloy's, with and without AVX-512.

    python -m benchmarks.muon [rounds]

Alloy's optimizer is in alloy/training/optimizer.py. Both optimizers take turns on the matrices of the demo's model, in
one process that uses all instructions of this processor and in one process that uses only AVX2. Milliseconds per step
by round, their median and the ratio torch / Alloy are written to benchmarks/results/muon-cpu<cores>-<date>.json.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from alloy.core.files import Row, write_json

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
MEASURE_SCRIPT = """
import json, sys, time, torch
from alloy.training.optimizer import Muon
shapes = 4 * [(128, 128), (64, 128), (64, 128), (128, 128), (384, 128), (384, 128), (128, 384)]
def measure_milliseconds(optimizer_class):
    torch.manual_seed(0)
    matrices = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    optimizer = optimizer_class(matrices, lr=1e-3, adjust_lr_fn="match_rms_adamw")
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    optimizer.step()
    start = time.perf_counter()
    for _ in range(10):
        optimizer.step()
    return 1000 * (time.perf_counter() - start) / 10  # per step
classes = (torch.optim.Muon, Muon)
rounds = int(sys.argv[1])
print(json.dumps([[measure_milliseconds(cls) for cls in classes] for _ in range(rounds)]))
"""


def main() -> None:
    """Measure both optimizers and write the result."""
    rounds = sys.argv[1] if len(sys.argv) > 1 else "5"
    result: Row = {
        "command": f"python -m benchmarks.muon {rounds}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    for name, environment in (("as it is", {}), ("AVX2 alone", AVX2)):
        output = subprocess.check_output(
            [sys.executable, "-c", MEASURE_SCRIPT, rounds], env={**os.environ, **environment}, text=True
        )
        pairs = json.loads(output)
        torch_milliseconds, alloy_milliseconds = (statistics.median(values) for values in zip(*pairs, strict=True))
        result[name] = {
            "torch": round(torch_milliseconds, 2),
            "alloy": round(alloy_milliseconds, 2),
            "ratio": round(statistics.median(of_torch / of_alloy for of_torch, of_alloy in pairs), 2),
            "milliseconds": [[round(value, 2) for value in pair] for pair in pairs],
        }
        print(f"{name}: torch {torch_milliseconds:.1f} ms per step, alloy {alloy_milliseconds:.1f} ms")
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_json(Path(f"benchmarks/results/muon-cpu{os.cpu_count()}-{day}.json"), result)


if __name__ == "__main__":
    main()
