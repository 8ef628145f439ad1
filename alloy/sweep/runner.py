"""Run each mix ratio, learning rate and seed as a DVC experiment, and recommend a configuration.

Reads   params.yaml, profiles/<profile>.yaml, the experiments of this commit in git and DVC
Writes  one experiment per run, its log in .dvc/tmp/sweep; metrics/frontier (alloy/sweep/frontier.py)
Run     alloy sweep, alloy sweep --seeds 3, alloy sweep --ratios 0,0.25 --lrs 1.0e-3,3.0e-3 --max-loss 0.05

Experiments run one after another in copies of the workspace, by `dvc exp run --temp`; DVC's queue would lose track of a
run whose worker is killed. A run of the same files and params is not repeated. This is not a stage: it runs stages.
"""

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alloy.comparison.settings import Gate
from alloy.core.dvc_outputs import find_stage, is_tracked_by_dvc
from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError, join_errors
from alloy.core.git import run_git
from alloy.core.settings import SEED_LIMIT, Data, load_profile_name, load_sections, load_seed
from alloy.sweep.axis import choose_limit, find_axis
from alloy.sweep.dvc_experiments import list_experiments
from alloy.sweep.frontier import write_frontier
from alloy.sweep.grid import INPUTS, GridPoint, find_point, make_grid, make_overrides, parse_numbers
from alloy.sweep.terminal import run_and_log
from alloy.training.settings import Train

LOG_FOLDER = Path(".dvc/tmp/sweep")
# Ignored folders that DVC need not track: raw data, which `make_copy_options` copies to each run, and caches.
SKIPPED = {"raw", "__pycache__"}
FIRST_SWEPT_STAGE = "mix"  # the first stage whose result differs between runs


def find_shared_stages(dot: str) -> list[str]:
    """Return the stages whose results are the same in all runs; `dot` is the graph that `dvc dag --dot` prints."""
    edges = re.findall(r'"([^"]+)" -> "([^"]+)";', dot)
    changed, pending = {FIRST_SWEPT_STAGE}, [FIRST_SWEPT_STAGE]
    while pending:
        stage = pending.pop()
        later_stages = {late for early, late in edges if early == stage} - changed
        changed |= later_stages
        pending += later_stages
    return [name for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE) if name not in changed]


def read_state() -> str:
    """Return the state from which runs are made, as text: the commit, and the changes since."""
    return run_git("rev-parse", "HEAD") + run_git("diff", "HEAD", "--", *INPUTS)


def require_known_files(data: list[str]) -> None:
    """Raise `InputError` unless git or DVC tracks all files of the data; an experiment's copy has only those."""
    unknown = run_git(
        "ls-files", "--others", "--exclude-standard", "--", *data, "alloy", "stages", "profiles"
    ).splitlines()
    unknown += [
        file
        for file in run_git("ls-files", "--others", "--ignored", "--exclude-standard", "--", *data).splitlines()
        if not any(part in SKIPPED or part.startswith(".") for part in Path(file).parts)
        and not find_stage(Path(file))
        and not is_tracked_by_dvc(Path(file))
    ]
    if unknown:
        fix = "run `dvc add` (for data) or `git add`"
        raise join_errors(f"{file}: not tracked by git or DVC, so runs would not have it; {fix}" for file in unknown)


@contextmanager
def hold_lock(folder: Path = LOG_FOLDER) -> Iterator[int]:
    """Hold the lock of the sweep in `folder`, and yield its file descriptor. If it is held, wait, and say so.

    Child processes inherit the descriptor, so the lock is held until the last of them has ended. The experiment of a
    killed sweep goes on and is kept when it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"{folder}/lock: another sweep, or an experiment of a killed one, is running; waiting until it ends",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def make_copy_options(data: list[str]) -> list[str]:
    """Return the options of `dvc exp run` that copy the raw data, which git ignores, to the run's folder."""
    files = (file for folder in dict.fromkeys(data) for file in sorted(Path(folder, "raw").rglob("[!.]*")))
    return [word for file in files if file.is_file() for word in ("--copy-paths", str(file))]


def run_grid(points: list[GridPoint], data: list[str], gate: Gate, lock: int) -> list[str]:
    """Run the points that have no finished experiment yet; return one line per failed run."""
    profile_label = load_profile_name()
    profile, copied = f"profiles/{profile_label}.yaml", make_copy_options(data)
    finished, _ = list_experiments()
    name_of_point = {point: name for name, rev in finished if (point := find_point(rev, profile))}
    used_names = {name for name, _ in finished}
    for point in points:
        if point in name_of_point:
            print(f"sweep: {name_of_point[point]} is already finished", flush=True)
    todo = [point for point in points if point not in name_of_point]
    initial_state, failed = read_state(), []
    for number, point in enumerate(todo, 1):
        if read_state() != initial_state:
            raise InputError(
                "params, code or data changed during the sweep; run `make sweep` again to use the new ones"
            )
        candidates = (point.name, *(f"{point.name}-{suffix}" for suffix in range(2, len(used_names) + 3)))
        name = next(candidate for candidate in candidates if candidate not in used_names)
        log = LOG_FOLDER / f"{name}.log"
        print(f"sweep: run {number} of {len(todo)}, {name}", flush=True)
        if run_and_log(
            ["dvc", "exp", "run", "--temp", "--name", name, *copied, *make_overrides(point, gate, profile_label)],
            log,
            lock,
        ):
            failed.append(f"{name} failed, see {log}; run `make sweep` to try again")
    return failed


def run_shared_stages() -> None:
    """Run the stages that all runs share in the workspace, so that an error there is shown once, before all runs."""
    graph = subprocess.run(["dvc", "dag", "--dot", "dvc.yaml"], text=True, stdout=subprocess.PIPE, check=False)
    stages = find_shared_stages(graph.stdout)
    print("sweep: running the stages that all runs share", flush=True)
    if graph.returncode or (stages and subprocess.run(["dvc", "repro", *stages], check=False).returncode):
        raise InputError("a stage that all runs share failed (see above); fix the error, and run `make sweep` again")


def main(ratios: str, lrs: str = "", seeds: int = 1, max_loss: str = "", axis: str = "") -> None:
    """Check the options, run the shared stages and `seeds` runs per configuration, and compare the runs.

    The first seed is `seed` in params.yaml. The others follow in order.
    """
    data_settings, gate, train = load_sections(Data, Gate, Train)
    data = [f"data/{folder}" for _, folder in data_settings]
    choose_limit(max_loss, None, find_axis(axis))
    mixes = parse_numbers("--ratios", ratios, lambda value: 0 <= value <= 1, "a share from 0 to 1")
    rates = parse_numbers("--lrs", lrs, lambda value: 0 < value < 1, "a number above 0 and below 1") or [train.lr]
    if not mixes:
        raise InputError("--ratios: expected at least one ratio, got none; write --ratios 0,0.25")
    first = load_seed()
    if first + seeds > SEED_LIMIT:
        raise InputError(
            f"--seeds: expected at most {SEED_LIMIT - first}, got {seeds}; lower it, or `seed` in params.yaml ({first})"
        )
    points = make_grid(mixes, rates, list(range(first, first + seeds)))
    require_known_files(data)
    with hold_lock() as lock:
        print("".join(f"{line}\n" for line in repair_dvc()), end="", flush=True)
        run_shared_stages()
        try:
            failed = run_grid(points, data, gate, lock)
        except KeyboardInterrupt:
            print("\nsweep: stopped; run `make sweep` to continue", file=sys.stderr)
            raise
    print(flush=True)
    try:
        write_frontier(max_loss, axis)
    except InputError as error:  # no run is finished; the failed runs are listed after it
        failed = [*str(error).splitlines(), *failed]
    if failed:
        raise InputError("\n".join(failed))
