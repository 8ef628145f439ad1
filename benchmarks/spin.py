"""Measure how much spinning OpenMP threads slow down training on a busy machine.

    python -m benchmarks.spin [rounds]

Runs eight training steps of a model of the demo's shape with each wait policy of OpenMP in turn, on an idle machine and
with one busy process per core. alloy/core/stage.py sets the policy for stages. Seconds by round and their median are
written to benchmarks/results/spin-cpu<cores>-<date>.json.
"""

import datetime
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from alloy.core.files import Row, write_json

WAIT_POLICIES = {
    "as OpenMP comes": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
}
MEASURE_SCRIPT = """
import time, torch
from transformers import Qwen3Config, Qwen3ForCausalLM
config = Qwen3Config(vocab_size=4096, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                     num_attention_heads=4, num_key_value_heads=2, head_dim=32)
model = Qwen3ForCausalLM(config)
ids = torch.randint(0, 4096, (1, 512))
model(ids, labels=ids).loss.backward()
start = time.perf_counter()
for _ in range(8):
    model(ids, labels=ids).loss.backward()
print(time.perf_counter() - start)
"""


def measure_seconds(environment: dict[str, str]) -> float:
    """Return the seconds of the steps in a process with these environment variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return float(
        subprocess.check_output([sys.executable, "-c", MEASURE_SCRIPT], env={**inherited, **environment}, text=True)
    )


def main() -> None:
    """Measure all policies and write the result."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cores = os.cpu_count() or 1
    result: Row = {
        "command": " ".join(["python -m benchmarks.spin", *sys.argv[1:]]),
        "processor": platform.processor() or platform.machine(),
        "cores": cores,
    }
    for busy_processes in (0, cores):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy_processes)]
        try:
            measured: dict[str, list[float]] = {policy: [] for policy in WAIT_POLICIES}
            for _ in range(rounds):
                for policy, environment in WAIT_POLICIES.items():
                    measured[policy].append(round(measure_seconds(environment), 3))
        finally:
            for process in busy:
                process.kill()
                process.wait()
        result[f"beside {busy_processes} busy processes"] = {
            policy: {"median": statistics.median(values), "seconds": values} for policy, values in measured.items()
        }
        for policy, values in measured.items():
            print(f"{busy_processes} busy processes, {policy}: {statistics.median(values):.2f} s")
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_json(Path(f"benchmarks/results/spin-cpu{cores}-{day}.json"), result)


if __name__ == "__main__":
    main()
