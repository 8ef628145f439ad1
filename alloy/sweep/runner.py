"""Run each mix ratio, learning rate and seed as a DVC experiment, and say which configuration to take.

Reads   params.yaml, profiles/<profile>.yaml, what git and DVC know of this commit
Writes  an experiment per run; their logs in .dvc/tmp/sweep; metrics/frontier (alloy/sweep/frontier.py)
Run     alloy sweep, alloy sweep --seeds 3, alloy sweep --ratios 0,0.25 --lrs 1.0e-3,3.0e-3 --max-loss 0.05

Experiments run one after another in copies of the workspace, by `dvc exp run --temp`: DVC's queue would lose sight of
one whose worker is killed. What was run from the same files and params is not run again. No stage: it runs stages.
"""

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alloy.comparison.settings import Gate
from alloy.core.dvc_outputs import find_stage_of, is_tracked_by_dvc
from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError, join_errors
from alloy.core.git import run_git
from alloy.core.settings import SEED_LIMIT, Data, load_sections, load_seed, profile_name
from alloy.sweep.axis import find_axis, limit_of
from alloy.sweep.dvc_experiments import experiments
from alloy.sweep.frontier import conclude
from alloy.sweep.grid import INPUTS, Point, grid, numbers, overrides, point_of
from alloy.sweep.terminal import tee
from alloy.training.settings import Train

LOGS = Path(".dvc/tmp/sweep")
SKIPPED = {"raw", "__pycache__"}  # of ignored files: copied to each run (see `ignored`), of no interest
SWEPT = "mix"  # the first stage that differs between runs


def shared_stages(dot: str) -> list[str]:
    """Return the stages that are the same in all runs, of the graph that `dvc dag --dot` prints."""
    edges = re.findall(r'"([^"]+)" -> "([^"]+)";', dot)
    changed, todo = {SWEPT}, [SWEPT]
    while todo:
        stage = todo.pop()
        after = {late for early, late in edges if early == stage} - changed
        changed |= after
        todo += after
    return [name for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE) if name not in changed]


def state() -> str:
    """Return what runs are made of as text: the commit and what differs from it."""
    return run_git("rev-parse", "HEAD") + run_git("diff", "HEAD", "--", *INPUTS)


def require_known(data: list[str]) -> None:
    """Raise `InputError` unless git or DVC knows all files of the data: experiments run in copies of what they know."""
    unknown = run_git(
        "ls-files", "--others", "--exclude-standard", "--", *data, "alloy", "stages", "profiles"
    ).splitlines()
    unknown += [
        file
        for file in run_git("ls-files", "--others", "--ignored", "--exclude-standard", "--", *data).splitlines()
        if not any(part in SKIPPED or part.startswith(".") for part in Path(file).parts)
        and not find_stage_of(Path(file))
        and not is_tracked_by_dvc(Path(file))
    ]
    fix = "neither git nor DVC knows it, and runs would be without it; `dvc add` (data) or `git add` it"
    if unknown:
        raise join_errors(f"{file}: {fix}" for file in unknown)


@contextmanager
def alone(folder: Path = LOGS) -> Iterator[int]:
    """Hold the lock of the sweep in `folder`; its number is passed to what must not outlive it unseen."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another sweep, or an experiment that it left, runs in this folder; wait for its end"
            ) from None
        yield lock.fileno()


def ignored(data: list[str]) -> list[str]:
    """Return the options by which copies of the workspace get the files of raw data too, which git ignores."""
    files = (file for folder in dict.fromkeys(data) for file in sorted(Path(folder, "raw").rglob("[!.]*")))
    return [word for file in files if file.is_file() for word in ("--copy-paths", str(file))]


def run_points(points: list[Point], data: list[str], gate: Gate, lock: int) -> list[str]:
    """Run what is not there yet; return a line for each run that failed."""
    scale = profile_name()
    profile, copied = f"profiles/{scale}.yaml", ignored(data)
    done, _ = experiments()
    there = {point: name for name, rev in done if (point := point_of(rev, profile))}
    taken = {name for name, _ in done}
    for point in points:
        if point in there:
            print(f"sweep: {there[point]} is there", flush=True)
    todo = [point for point in points if point not in there]
    begun, failed = state(), []
    for number, point in enumerate(todo, 1):
        if state() != begun:
            raise InputError("params, code or data changed while the sweep ran; `make sweep` runs what is now there")
        free = (point.name, *(f"{point.name}-{again}" for again in range(2, len(taken) + 3)))
        name = next(own for own in free if own not in taken)
        log = LOGS / f"{name}.log"
        print(f"sweep: run {number} of {len(todo)}, {name}", flush=True)
        if tee(["dvc", "exp", "run", "--temp", "--name", name, *copied, *overrides(point, gate, scale)], log, lock):
            failed.append(f"{name} failed: {log}; `make sweep` tries it again")
    return failed


def run_shared() -> None:
    """Run in the workspace what all runs share, so that a fault there shows once and at the start."""
    graph = subprocess.run(["dvc", "dag", "--dot", "dvc.yaml"], text=True, stdout=subprocess.PIPE, check=False)
    stages = shared_stages(graph.stdout)
    print("sweep: first what all runs share", flush=True)
    if graph.returncode or (stages and subprocess.run(["dvc", "repro", *stages], check=False).returncode):
        raise InputError("what all runs share failed, see above; none was started")


def main(ratios: str, lrs: str = "", seeds: int = 1, max_loss: str = "", axis: str = "") -> None:
    """Check, run what all runs share, then `seeds` runs of each configuration from params.yaml's seed on; compare."""
    given, gate, train = load_sections(Data, Gate, Train)
    data = [f"data/{folder}" for _, folder in given]
    limit_of(max_loss, None, find_axis(axis))
    mixes = numbers("--ratios", ratios, lambda value: 0 <= value <= 1, "a share from 0 to 1")
    rates = numbers("--lrs", lrs, lambda value: 0 < value < 1, "a number above 0 and below 1") or [train.lr]
    if not mixes:
        raise InputError("--ratios: no ratio is given; write --ratios 0,0.25")
    first = load_seed()
    if first + seeds > SEED_LIMIT:
        raise InputError(
            f"--seeds: expected at most {SEED_LIMIT - first} from params.yaml's seed {first} on, got {seeds}"
        )
    points = grid(mixes, rates, list(range(first, first + seeds)))
    require_known(data)
    with alone() as lock:
        print("".join(f"{line}\n" for line in repair_dvc()), end="", flush=True)
        run_shared()
        try:
            failed = run_points(points, data, gate, lock)
        except KeyboardInterrupt:
            print("\nsweep: stopped; `make sweep` goes on where it was", file=sys.stderr)
            raise
    print(flush=True)
    try:
        conclude(max_loss, axis)
    except InputError as error:  # no run is finished; what failed is said below it
        failed = [*str(error).splitlines(), *failed]
    if failed:
        raise InputError("\n".join(failed))
