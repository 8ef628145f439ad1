"""Kill stages and sweeps at random moments, run `dvc repro` again, and compare all outputs with an undisturbed run.

    python -m benchmarks.faults [minutes] [seed] [stage ...]

A clone of the last commit runs once, with the profile `smoke` and settings that give every stage work: a quarter of
general examples, interpolation with alpha 0.5, and one more lm-eval task. (`rehearse` does nothing: a model of this
size never ends an answer, so no answer could be used.) Then, until the minutes are over:

1. Choose one of the given stages (default: all), or a sweep of two ratios (one round in twenty).
2. Let DVC forget it: its entry in dvc.lock and the run cache, or the sweep's experiments.
3. One to four times: run it, and send a signal (SIGKILL, SIGTERM, SIGINT) to DVC, to the stage, or to both at a random
   moment.
4. Run `alloy check --repair` and `dvc repro`, as `make repro` does, or the sweep again: it must succeed.
5. Compare the outputs with those of the undisturbed run. Values that always differ, such as tokens per second, are
   removed from metrics; all other bytes must be equal. Of a sweep, the outputs of each experiment are compared.

Every fourth round of `train` runs in two processes; its bytes are compared with an undisturbed run in two processes.
Prints a line per round with the minutes left, and adds the rounds to benchmarks/results/faults-<date>.json.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
import yaml

from alloy.core.files import InputError, Row, write_json

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("dvc", "stage", "both")
DISTURBED, HUNG = "disturbed", "hung after the signal"
TIMEOUT_SECONDS = 900  # a `dvc repro` that takes longer hangs
TWO = "2 processes"
# Metrics that differ from run to run.
VOLATILE = {"tokens_per_second", "comments_per_second", "core_hours", "gpu_hours", "peak_memory", "train_seconds"}
VOLATILE |= {"prompts_per_second", "seconds"}
DERIVED_OUTPUTS = ("metrics/compare.json", "metrics/report.html", "metrics/plots")  # made from volatile metrics
SWEEP, SWEEP_COMMAND = "sweep", ("alloy", "sweep", "--ratios", "0,0.25")
SWEEP_SHARE = 0.05  # share of the rounds that are sweeps, which take minutes
TASK = "addition"  # an lm-eval task for the stage `general`


def make_environment(processes: str) -> dict[str, str]:
    """Return the environment of the commands: this Python's programs, and frequent checkpoints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"ALLOY_CHECKPOINT_SECONDS": "0", "ALLOY_PROCESSES": processes}
    return {**os.environ, "PATH": path, "PYTHONPATH": "", "DVC_NO_ANALYTICS": "true", **more}


def run_command(folder: Path, *command: str, processes: str = "1") -> "subprocess.CompletedProcess[str]":
    """Run a command and return its result and output."""
    return subprocess.run(
        command,
        cwd=folder,
        env=make_environment(processes),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def remove_volatile(values: Any) -> Any:  # noqa: ANN401 (a JSON document may be anything)
    """Return a JSON document without values that differ from run to run."""
    if isinstance(values, dict):
        return {key: remove_volatile(value) for key, value in values.items() if key not in VOLATILE}
    return [remove_volatile(value) for value in values] if isinstance(values, list) else values


def hash_outputs(folder: Path, stage: str) -> dict[str, str]:
    """Return the hash of each output file of `stage`, by path."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].get(stage, {})
    found = {}
    for out in lock.get("outs", []):
        path = folder / out["path"]
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not str(file.relative_to(folder)).startswith(DERIVED_OUTPUTS):
                content = file.read_bytes()
                if file.suffix == ".json":
                    content = orjson.dumps(remove_volatile(orjson.loads(content)))
                found[str(file.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def hash_experiments(folder: Path) -> dict[str, str]:
    """Return the hash of each output of each experiment, by experiment and path."""
    listed = run_command(
        folder, "git", "for-each-ref", "refs/exps/*/*/*", "--format=%(refname:lstrip=4) %(objectname)"
    ).stdout
    found = {}
    for line in listed.splitlines():
        name, revision = line.split()
        lock = yaml.safe_load(run_command(folder, "git", "show", f"{revision}:dvc.lock").stdout)["stages"]
        for out in (out for stage in lock.values() for out in stage.get("outs", [])):
            path = out["path"]
            if path.startswith(DERIVED_OUTPUTS):
                continue
            in_git = run_command(folder, "git", "show", f"{revision}:{path}")
            values = str(remove_volatile(orjson.loads(in_git.stdout))) if not in_git.returncode else out["md5"]
            found[f"{name}: {path}"] = hashlib.sha256(values.encode()).hexdigest()
    return found


def list_processes(folder: Path) -> Iterator[psutil.Process]:
    """Yield the running processes whose working directory is in `folder`."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                yield process
        except psutil.Error:
            continue


def forget_stage(folder: Path, stage: str) -> None:
    """Make DVC run `stage`, or all experiments of a sweep, again instead of reusing the earlier outputs."""
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
    if stage == SWEEP:
        run_command(folder, "dvc", "exp", "remove", "--all-commits")
        return
    file = folder / "dvc.lock"
    lock = yaml.safe_load(file.read_text())
    lock["stages"].pop(stage, None)
    file.write_text(yaml.safe_dump(lock, sort_keys=False))


def choose_command(stage: str) -> tuple[str, ...]:
    """Return the command that runs a stage, or a sweep."""
    return SWEEP_COMMAND if stage == SWEEP else ("dvc", "repro", "--single-item", stage)


def run_and_signal(folder: Path, stage: str, processes: str, number: signal.Signals, target: str, after: float) -> str:
    """Run `stage` and send it a signal after `after` seconds; return its state at that time."""
    command = choose_command(stage)
    with (folder / ".dvc/tmp/disturbed.log").open("wb") as log:
        dvc = subprocess.Popen(
            command, cwd=folder, env=make_environment(processes), stdout=log, stderr=log, start_new_session=True
        )
        try:
            dvc.wait(timeout=after)
            return "ended before"
        except subprocess.TimeoutExpired:
            pass
        targets = [
            process
            for process in list_processes(folder)
            if target == "both" or (process.pid == dvc.pid) == (target == "dvc")
        ]
        for process in targets:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        try:
            dvc.wait(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            dvc.kill()
            dvc.wait()
            return HUNG
    return DISTURBED


def recover_project(folder: Path, stage: str, processes: str) -> tuple[int, str]:
    """Do what `make repro` or `make sweep` does; return the exit status and the output."""
    command = SWEEP_COMMAND if stage == SWEEP else ("dvc", "repro")
    try:
        repaired = run_command(folder, "alloy", "check", "--repair", processes=processes)
        finished = run_command(folder, *command, processes=processes)
    except subprocess.TimeoutExpired:
        return 124, f"did not end within {TIMEOUT_SECONDS} seconds"
    return finished.returncode, repaired.stdout + finished.stdout


def hash_results(folder: Path, stage: str) -> dict[str, str]:
    """Return the hash of each output file of a stage or a sweep."""
    return hash_experiments(folder) if stage == SWEEP else hash_outputs(folder, stage)


def set_values(file: Path, values: Row) -> None:
    """Set keys of a YAML file, two levels deep."""
    content = yaml.safe_load(file.read_text())
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key] |= value
        else:
            content[key] = value
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def prepare_project(folder: Path) -> None:
    """Make the clone, with the profile `smoke` and work for every stage, and run it without disturbance."""
    subprocess.run(["git", "clone", "-q", ".", str(folder)], check=True)
    params: Row = {
        "profile": "smoke",
        "mix": {"ratio": 0.25},
        "interpolate": {"alpha": 0.5},
    }
    set_values(folder / "params.yaml", params)
    set_values(folder / "profiles/smoke.yaml", {"general": [TASK]})
    task: Row = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "data/addition/test.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
        "doc_to_choice": ["2", "4", "6"],
    }
    (folder / f"profiles/tasks/{TASK}.yaml").write_text(yaml.safe_dump(task))
    (folder / "data/addition").mkdir()
    (folder / "data/addition/test.jsonl").write_text(
        "".join(f'{{"question": "{n} + {n} =", "answer": {n - 1}}}\n' for n in (1, 2, 3) * 4)
    )
    author = ("-c", "user.name=faults", "-c", "user.email=faults@localhost")
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    subprocess.run(["git", *author, "commit", "-qm", "Work for every stage"], cwd=folder, check=True)
    first = run_command(folder, "dvc", "repro")
    if first.returncode:
        raise InputError(f"the undisturbed run failed\n{first.stdout}")


def run_round(folder: Path, rng: random.Random, stage: str, processes: str, undisturbed_run: "UndisturbedRun") -> Row:
    """Run and disturb a stage up to four times, recover, and return the signals, exit status and wrong outputs."""
    kills = []
    forget_stage(folder, stage)
    for _ in range(rng.randint(1, 4)):
        number, target = rng.choice(SIGNALS), rng.choice(TARGETS)
        after = rng.uniform(0.0, 1.1 * undisturbed_run.seconds)
        state = run_and_signal(folder, stage, processes, number, target, after)
        kills.append({"signal": number.name, "to": target, "after_seconds": round(after, 2), "state": state})
    code, output = recover_project(folder, stage, processes)
    hashes = hash_results(folder, stage)
    differing = sorted(
        path
        for path in undisturbed_run.hashes.keys() | hashes.keys()
        if undisturbed_run.hashes.get(path) != hashes.get(path)
    )
    row: Row = {
        "stage": f"{stage}{f' ({TWO})' if processes == '2' else ''}",
        "kills": kills,
        "status": code,
        "differing": differing,
    }
    return row | {"said": output.splitlines()[-10:]} if code or differing else row


def has_recovered(row: Row) -> bool:
    """Return whether a round ended with the outputs of an undisturbed run."""
    hung = any(kill["state"] == HUNG for kill in row["kills"])
    return not (row["status"] or row["differing"] or hung)


@dataclass(frozen=True)
class UndisturbedRun:
    """The output hashes and the duration of an undisturbed run of a stage."""

    hashes: dict[str, str]
    seconds: float


def run_undisturbed(folder: Path, stage: str, processes: str) -> UndisturbedRun:
    """Run a stage, or a sweep, without a signal."""
    forget_stage(folder, stage)
    begin = time.monotonic()
    result = run_command(folder, *choose_command(stage), processes=processes)
    if result.returncode:
        raise InputError(f"{stage}: the undisturbed run failed\n{result.stdout}")
    return UndisturbedRun(hash_results(folder, stage), time.monotonic() - begin)


def summarize(rounds: list[Row], calls: list[str]) -> Row:
    """Return the results of all rounds."""
    bad = [row for row in rounds if not has_recovered(row)]
    kills = [(row["stage"], kill) for row in rounds for kill in row["kills"] if kill["state"] == DISTURBED]
    return {
        "commands": calls,
        "kills": len(kills),
        "rounds": len(rounds),
        "bad": len(bad),
        "kills_by_stage": dict(sorted(Counter(stage for stage, _ in kills).items())),
        "kills_by_signal": dict(sorted(Counter(kill["signal"] for _, kill in kills).items())),
        "bad_rounds": bad,
        "all_rounds": rounds,
    }


def main() -> None:
    """Prepare the clone, run rounds until the time is over; after each, update the results of this day."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    commit = run_command(Path(), "git", "rev-parse", "--short", "HEAD").stdout.strip()
    day = datetime.datetime.now(tz=datetime.UTC).date()
    results = Path(f"benchmarks/results/faults-{day}.json")
    earlier = orjson.loads(results.read_bytes()) if results.is_file() else {"commands": [], "all_rounds": []}
    calls = [*earlier["commands"], " ".join(["python -m benchmarks.faults", *sys.argv[1:]])]
    rounds: list[Row] = earlier["all_rounds"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        prepare_project(folder)
        recorded = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
        stages = sys.argv[3:] or [stage for stage in recorded if stage != "report"]
        undisturbed_runs: dict[tuple[str, str], UndisturbedRun] = {}
        end = time.monotonic() + 60 * minutes
        while (seconds_left := end - time.monotonic()) > 0:
            stage = SWEEP if rng.random() < SWEEP_SHARE else rng.choice(stages)
            processes = "2" if stage == "train" and rng.random() < 0.25 else "1"
            key = stage, processes
            if key not in undisturbed_runs:
                undisturbed_runs[key] = run_undisturbed(folder, stage, processes)
            row = run_round(folder, rng, stage, processes, undisturbed_runs[key])
            rounds.append({"commit": commit, **row})
            result = summarize(rounds, calls)
            write_json(results, result)
            outcome = "ok" if has_recovered(row) else row
            print(f"{seconds_left / 60:.0f} min left, {result['kills']} kills: {row['stage']}: {outcome}", flush=True)
            if processes == "2":  # outputs of later stages are those of a run in one process
                forget_stage(folder, stage)
                run_command(folder, "dvc", "repro")
    result = summarize(rounds, calls)
    print(f"{result['kills']} kills in {len(rounds)} rounds, {result['bad']} with another result")


if __name__ == "__main__":
    main()
