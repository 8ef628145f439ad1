"""Kill stages at random moments, run `dvc repro` again, and compare every output with that of an undisturbed run.

    python -m benchmarks.faults [minutes] [seed]

A clone of the last commit runs once with the profile `smoke`. Then, until the minutes are over:

1. Choose a stage, a signal (SIGKILL, SIGTERM, SIGINT), who gets it (DVC, the stage, or both) and a moment.
2. Let DVC forget the stage (its entry in dvc.lock, the run cache), run it, and send the signal at that moment.
3. `alloy check --repair` and `dvc repro`, as `make repro` does: it must end well.
4. Compare the outputs with those of the undisturbed run. What tells one run from another, such as tokens per second, is
   left out of metrics; all else must be the same bytes.

Every fourth round of `train` runs in two processes; its bytes are compared with an undisturbed run in two processes.
Prints a line per kill; the rounds and a summary go to benchmarks/results/faults-<date>.json.
"""

import datetime
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import yaml

from alloy.core.files import InputError, Row, write_json

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("dvc", "stage", "both")
PATIENCE = 900  # seconds for a `dvc repro`; one that takes longer hangs
TWO = "2 processes"
# What differs from run to run.
VOLATILE = {"tokens_per_second", "comments_per_second", "core_hours", "gpu_hours", "peak_memory", "train_seconds"}
VOLATILE |= {"prompts_per_second", "seconds"}
BESIDE = ("metrics/compare.json", "metrics/report.html", "metrics/plots")  # made of these


def environment(processes: str) -> dict[str, str]:
    """Return the environment of the commands: those of this Python, few checkpoints apart."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"ALLOY_CHECKPOINT_SECONDS": "0", "ALLOY_PROCESSES": processes}
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "DVC_NO_ANALYTICS": "true", **more}


def run(folder: Path, *command: str, processes: str = "1") -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return what it said."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(processes),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )


def steady(values: Any) -> Any:  # noqa: ANN401 (a JSON document may be anything)
    """Return a JSON document without what differs from run to run."""
    if isinstance(values, dict):
        return {key: steady(value) for key, value in values.items() if key not in VOLATILE}
    return [steady(value) for value in values] if isinstance(values, list) else values


def outputs(folder: Path, stage: str) -> dict[str, str]:
    """Return the hash of each file that `stage` writes, by path."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].get(stage, {})
    found = {}
    for out in lock.get("outs", []):
        path = folder / out["path"]
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not str(file.relative_to(folder)).startswith(BESIDE):
                content = file.read_bytes()
                if file.suffix == ".json":
                    content = orjson.dumps(steady(orjson.loads(content)))
                found[str(file.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def at_work(folder: Path) -> Iterator[psutil.Process]:
    """Yield the processes at work in `folder`."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                yield process
        except psutil.Error:
            continue


def forget(folder: Path, stage: str) -> None:
    """Make DVC run `stage` again instead of fetching what it made before."""
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
    file = folder / "dvc.lock"
    lock = yaml.safe_load(file.read_text())
    lock["stages"].pop(stage, None)
    file.write_text(yaml.safe_dump(lock, sort_keys=False))


def disturb(folder: Path, stage: str, processes: str, number: signal.Signals, target: str, after: float) -> str:
    """Run `stage` again and send it a signal after so many seconds; return the state in which it was found."""
    forget(folder, stage)
    command = ["dvc", "repro", "--single-item", stage]
    with (folder / ".dvc/tmp/disturbed.log").open("wb") as log:
        dvc = subprocess.Popen(
            command, cwd=folder, env=environment(processes), stdout=log, stderr=log, start_new_session=True
        )
        try:
            dvc.wait(timeout=after)
            return "ended before"
        except subprocess.TimeoutExpired:
            pass
        targets = [
            process for process in at_work(folder) if target == "both" or (process.pid == dvc.pid) == (target == "dvc")
        ]
        for process in targets:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        try:
            dvc.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            dvc.kill()
            dvc.wait()
            return "hung after the signal"
    return "disturbed"


def recover(folder: Path, processes: str) -> tuple[int, str]:
    """Do what `make repro` does; return the exit status and what was said."""
    try:
        repaired = run(folder, "alloy", "check", "--repair", processes=processes)
        done = run(folder, "dvc", "repro", processes=processes)
    except subprocess.TimeoutExpired:
        return 124, f"did not end within {PATIENCE} seconds"
    return done.returncode, repaired.stdout + done.stdout


def prepare(folder: Path) -> None:
    """Make the clone, with the profile `smoke`, and run it undisturbed."""
    subprocess.run(["git", "clone", "-q", ".", str(folder)], check=True)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("profile: demo", "profile: smoke"))
    first = run(folder, "dvc", "repro")
    if first.returncode:
        raise InputError(f"the undisturbed run failed\n{first.stdout}")


def main() -> None:
    """Prepare, disturb until the time is over, write."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    rounds: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        prepare(folder)
        stages = [stage for stage in yaml.safe_load((folder / "dvc.lock").read_text())["stages"] if stage != "report"]
        wanted: dict[tuple[str, str], dict[str, str]] = {}
        seconds: dict[tuple[str, str], float] = {}
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            stage = chance.choice(stages)
            processes = "2" if stage == "train" and chance.random() < 0.25 else "1"
            key = stage, processes
            if key not in wanted:  # an undisturbed run of this stage: its outputs, and how long it takes
                begin = time.monotonic()
                forget(folder, stage)
                alone = run(folder, "dvc", "repro", "--single-item", stage, processes=processes)
                if alone.returncode:
                    raise InputError(f"{stage}: the undisturbed run failed\n{alone.stdout}")
                wanted[key], seconds[key] = outputs(folder, stage), time.monotonic() - begin
            number, target = chance.choice(SIGNALS), chance.choice(TARGETS)
            after = chance.uniform(0.0, 1.1 * seconds[key])
            state = disturb(folder, stage, processes, number, target, after)
            code, said = recover(folder, processes)
            found = outputs(folder, stage)
            differing = sorted(
                path for path in wanted[key].keys() | found.keys() if wanted[key].get(path) != found.get(path)
            )
            row: Row = {
                "stage": f"{stage}{f' ({TWO})' if processes == '2' else ''}",
                "signal": number.name,
                "to": target,
                "after_seconds": round(after, 2),
                "state": state,
                "status": code,
                "differing": differing,
            }
            if code:
                row["said"] = said.splitlines()[-10:]
            rounds.append(row)
            good = not code and not differing and state != "hung after the signal"
            print(f"{len(rounds)}: {row['stage']}, {number.name} to {target}: {'ok' if good else row}", flush=True)
            if processes == "2":  # the other stages follow from the run in one process
                run(folder, "dvc", "repro")
    bad = [row for row in rounds if row["status"] or row["differing"] or row["state"] == "hung after the signal"]
    result: Row = {
        "command": " ".join(["python -m benchmarks.faults", *sys.argv[1:]]),
        "kills": sum(row["state"] == "disturbed" for row in rounds),
        "rounds": len(rounds),
        "bad": len(bad),
        "by_stage": dict(sorted(Counter(row["stage"] for row in rounds).items())),
        "bad_rounds": bad,
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    write_json(Path(f"benchmarks/results/faults-{day}.json"), result)
    print(f"{result['kills']} kills in {len(rounds)} rounds, {len(bad)} with another result")


if __name__ == "__main__":
    main()
