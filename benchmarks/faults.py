"""Kill stages and sweeps at random moments, run `dvc repro` again, and compare every output with an undisturbed run's.

    python -m benchmarks.faults [minutes] [seed]

A clone of the last commit runs once, with the profile `smoke` and settings by which every stage has work to do: a
quarter of general examples, interpolation at 0.5, and one more lm-eval task. (`rehearse` has no work: a model of this
size never ends an answer, so that none could be used.) Then, until the minutes are over:

1. Choose a stage, or a sweep of two ratios (one round in twenty).
2. Let DVC forget it: its entry in dvc.lock and the run cache, or the sweep's experiments.
3. One to three times: run it, and send a signal (SIGKILL, SIGTERM, SIGINT) to DVC, to the stage, or to both at a random
   moment.
4. `alloy check --repair` and `dvc repro`, as `make repro` does, or the sweep again: it must end well.
5. Compare the outputs with those of the undisturbed run. What tells one run from another, such as tokens per second, is
   left out of metrics; all else must be the same bytes. Of a sweep, the outputs of each experiment are compared.

Every fourth round of `train` runs in two processes; its bytes are compared with an undisturbed run in two processes.
Prints a line per round with the minutes left. Each call adds its rounds to benchmarks/results/faults-<date>.json.
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
PATIENCE = 900  # seconds for a `dvc repro`; one that takes longer hangs
TWO = "2 processes"
# What differs from run to run.
VOLATILE = {"tokens_per_second", "comments_per_second", "core_hours", "gpu_hours", "peak_memory", "train_seconds"}
VOLATILE |= {"prompts_per_second", "seconds"}
BESIDE = ("metrics/compare.json", "metrics/report.html", "metrics/plots")  # made of these
SWEEP, SWEPT = "sweep", ("alloy", "sweep", "--ratios", "0,0.25")
SWEEP_SHARE = 0.05  # of the rounds; each takes minutes
TASK = "addition"  # an lm-eval task for the stage `general`


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


def experiments(folder: Path) -> dict[str, str]:
    """Return the hash of each output of each experiment, by experiment and path."""
    listed = run(folder, "git", "for-each-ref", "refs/exps/*/*/*", "--format=%(refname:lstrip=4) %(objectname)").stdout
    found = {}
    for line in listed.splitlines():
        name, revision = line.split()
        lock = yaml.safe_load(run(folder, "git", "show", f"{revision}:dvc.lock").stdout)["stages"]
        for out in (out for stage in lock.values() for out in stage.get("outs", [])):
            path = out["path"]
            if path.startswith(BESIDE):
                continue
            in_git = run(folder, "git", "show", f"{revision}:{path}")
            values = str(steady(orjson.loads(in_git.stdout))) if not in_git.returncode else out["md5"]
            found[f"{name}: {path}"] = hashlib.sha256(values.encode()).hexdigest()
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
    """Make DVC run `stage` again instead of fetching what it made before; of a sweep, all that differs between runs."""
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
    if stage == SWEEP:
        run(folder, "dvc", "exp", "remove", "--all-commits")
        return
    file = folder / "dvc.lock"
    lock = yaml.safe_load(file.read_text())
    lock["stages"].pop(stage, None)
    file.write_text(yaml.safe_dump(lock, sort_keys=False))


def command_of(stage: str) -> tuple[str, ...]:
    """Return the command that runs a stage, or a sweep."""
    return SWEPT if stage == SWEEP else ("dvc", "repro", "--single-item", stage)


def disturb(folder: Path, stage: str, processes: str, number: signal.Signals, target: str, after: float) -> str:
    """Run `stage` and send it a signal after so many seconds; return the state in which it was found."""
    command = command_of(stage)
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
            return HUNG
    return DISTURBED


def recover(folder: Path, stage: str, processes: str) -> tuple[int, str]:
    """Do what `make repro` does, or `make sweep`; return the exit status and what was said."""
    again = SWEPT if stage == SWEEP else ("dvc", "repro")
    try:
        repaired = run(folder, "alloy", "check", "--repair", processes=processes)
        done = run(folder, *again, processes=processes)
    except subprocess.TimeoutExpired:
        return 124, f"did not end within {PATIENCE} seconds"
    return done.returncode, repaired.stdout + done.stdout


def found_outputs(folder: Path, stage: str) -> dict[str, str]:
    """Return the hash of each file that a stage, or a sweep, wrote."""
    return experiments(folder) if stage == SWEEP else outputs(folder, stage)


def set_values(file: Path, values: Row) -> None:
    """Set keys of a YAML file, two levels deep."""
    content = yaml.safe_load(file.read_text())
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key] |= value
        else:
            content[key] = value
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def prepare(folder: Path) -> None:
    """Make the clone, with the profile `smoke` and work for every stage, and run it undisturbed."""
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
    first = run(folder, "dvc", "repro")
    if first.returncode:
        raise InputError(f"the undisturbed run failed\n{first.stdout}")


def disturbed_round(folder: Path, chance: random.Random, stage: str, processes: str, wanted: "Undisturbed") -> Row:
    """Run and disturb a stage up to three times, recover, and return what was done and what is not as it should be."""
    kills = []
    forget(folder, stage)
    for _ in range(chance.choice((1, 1, 2, 3))):
        number, target = chance.choice(SIGNALS), chance.choice(TARGETS)
        after = chance.uniform(0.0, 1.1 * wanted.seconds)
        state = disturb(folder, stage, processes, number, target, after)
        kills.append({"signal": number.name, "to": target, "after_seconds": round(after, 2), "state": state})
    code, said = recover(folder, stage, processes)
    found = found_outputs(folder, stage)
    differing = sorted(
        path for path in wanted.hashes.keys() | found.keys() if wanted.hashes.get(path) != found.get(path)
    )
    row: Row = {
        "stage": f"{stage}{f' ({TWO})' if processes == '2' else ''}",
        "kills": kills,
        "status": code,
        "differing": differing,
    }
    return row | {"said": said.splitlines()[-10:]} if code or differing else row


def is_good(row: Row) -> bool:
    """Return whether a round ended as an undisturbed run does."""
    hung = any(kill["state"] == HUNG for kill in row["kills"])
    return not (row["status"] or row["differing"] or hung)


@dataclass(frozen=True)
class Undisturbed:
    """What an undisturbed run of a stage wrote, and the seconds that it took."""

    hashes: dict[str, str]
    seconds: float


def undisturbed(folder: Path, stage: str, processes: str) -> Undisturbed:
    """Run a stage, or a sweep, without a signal."""
    forget(folder, stage)
    begin = time.monotonic()
    alone = run(folder, *command_of(stage), processes=processes)
    if alone.returncode:
        raise InputError(f"{stage}: the undisturbed run failed\n{alone.stdout}")
    return Undisturbed(found_outputs(folder, stage), time.monotonic() - begin)


def summary(rounds: list[Row], calls: list[str]) -> Row:
    """Return what is kept of all rounds."""
    bad = [row for row in rounds if not is_good(row)]
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
    """Prepare, disturb until the time is over; write after each round, and add to what is there of this day."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    day = datetime.datetime.now(tz=datetime.UTC).date()
    results = Path(f"benchmarks/results/faults-{day}.json")
    before = orjson.loads(results.read_bytes()) if results.is_file() else {"commands": [], "all_rounds": []}
    calls = [*before["commands"], " ".join(["python -m benchmarks.faults", *sys.argv[1:]])]
    rounds: list[Row] = before["all_rounds"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        prepare(folder)
        stages = [stage for stage in yaml.safe_load((folder / "dvc.lock").read_text())["stages"] if stage != "report"]
        known: dict[tuple[str, str], Undisturbed] = {}
        end = time.monotonic() + 60 * minutes
        while (left := end - time.monotonic()) > 0:
            stage = SWEEP if chance.random() < SWEEP_SHARE else chance.choice(stages)
            processes = "2" if stage == "train" and chance.random() < 0.25 else "1"
            key = stage, processes
            if key not in known:
                known[key] = undisturbed(folder, stage, processes)
            row = disturbed_round(folder, chance, stage, processes, known[key])
            rounds.append(row)
            result = summary(rounds, calls)
            write_json(results, result)
            told = "ok" if is_good(row) else row
            print(f"{left / 60:.0f} min left, {result['kills']} kills: {row['stage']}: {told}", flush=True)
            if processes == "2":  # the other stages follow from the run in one process
                forget(folder, stage)
                run(folder, "dvc", "repro")
    result = summary(rounds, calls)
    print(f"{result['kills']} kills in {len(rounds)} rounds, {result['bad']} with another result")


if __name__ == "__main__":
    main()
