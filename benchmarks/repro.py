"""Measure CPU seconds of `dvc repro` with nothing to do, compared with `dvc status` in a project with one stage.

    python -m benchmarks.repro [rounds]

The pipeline of this folder must be up to date. The commands take turns. Their CPU seconds (user and system, with child
processes) and the median ratio are written to benchmarks/results/repro-cpu<cores>-<date>.json.
"""

import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from alloy.core.files import InputError, Row, write_json

ONE_STAGE = "stages:\n  one:\n    cmd: echo 1 > one\n    outs: [one]\n"


def measure_command(folder: Path, *command: str) -> float:
    """Return the CPU seconds of a command; raise `InputError` if it runs a stage."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "true"}
    result = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False)
    if result.returncode or "Running stage" in result.stdout:
        raise InputError(f"{folder}: {' '.join(command)} found something to do; run `dvc repro` first\n{result.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both commands and write the result."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measured: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        one_stage_project = Path(name)
        subprocess.run(["git", "init", "-q"], cwd=one_stage_project, check=True)
        dvc = str(Path(sys.executable).with_name("dvc"))
        subprocess.run([dvc, "init", "-q"], cwd=one_stage_project, check=True)
        (one_stage_project / "dvc.yaml").write_text(ONE_STAGE)
        subprocess.run([dvc, "repro", "-q"], cwd=one_stage_project, check=True)
        for number in range(rounds + 1):
            pair = measure_command(Path.cwd(), "dvc", "repro"), measure_command(one_stage_project, "dvc", "status")
            if number:  # the first round fills caches
                measured.append((round(pair[0], 2), round(pair[1], 2)))
                print(f"dvc repro {pair[0]:.2f} s, dvc status of one stage {pair[1]:.2f} s", flush=True)
    result: Row = {
        "command": " ".join(["python -m benchmarks.repro", *sys.argv[1:]]),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "cpu_seconds": {"dvc repro": [a for a, _ in measured], "dvc status of one stage": [b for _, b in measured]},
        "ratio": round(statistics.median(a / b for a, b in measured), 2),
    }
    print(f"ratio {result['ratio']}")
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_json(Path(f"benchmarks/results/repro-cpu{os.cpu_count()}-{day}.json"), result)


if __name__ == "__main__":
    main()
