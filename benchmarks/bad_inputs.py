"""Check that each stage and command rejects malformed inputs with the location and the fix.

    python -m benchmarks.bad_inputs [--only WORDS] [--minutes M] [--project FOLDER] [--list]

An input is a small edit of a good project: a clone of the last commit that has run the profile `smoke` (two minutes;
with `--project`, it is kept and reused). For each input:

1. Copy the project, edit the copy, and run the stage or command that reads the input in it. Stages and commands are
   forked from a process that has loaded their libraries, and run as `python -m` would run them.
2. Check the outcome. The command must fail with one message of at most ten lines. It has the location (file and line,
   or key) and the fix, and no traceback or control characters. No file of the copy may have changed.
3. An input that is marked as accepted must be accepted, with a warning if the case names one.

The inputs are in benchmarks/bad_rows.py, bad_settings.py, bad_tables.py and bad_commands.py. Prints progress, and a
line per input with a bad outcome; a complete run writes benchmarks/results/bad-inputs-<date>.json.
"""

import argparse
import datetime
import importlib
import os
import pkgutil
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

os.environ.update(TQDM_DISABLE="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
os.environ.update(DVC_NO_ANALYTICS="true", NO_COLOR="1", PYTHONWARNINGS="ignore")

import alloy
from alloy.core.files import InputError, Row, write_json
from benchmarks import bad_commands, bad_rows, bad_settings, bad_tables
from benchmarks.bad_case import Case

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_LINE_LENGTH = 10, 1000  # of a message; characters of each line
TIMEOUT_SECONDS = 120  # per input
MAX_EXTRA_MEMORY = 6 * 2**30  # bytes that a process may allocate after its start
COMMANDS_THAT_NEED_GIT = (
    "dvc",
    "sweep",
    "review",
    "smoke",
    "frontier",
    "check",
)  # commands that need the whole project, with its history
IGNORED = shutil.ignore_patterns(".git", "cache", "tmp", "alloy", "tests", "docs", "__pycache__", ".venv")
FIX = re.compile(
    r"expected|write|give|set |run|use |add|remove|take|save|correct|rename|did you mean|known|name |quote|make|fetch|"
    r"check|label|drop|leave|resolve|--help|raise|lower|choose|free|try|must|only|put|wait|install|delete|change|unique|"
    r"create|restore|download|convert|copy it|describe|accept|log in|"
    r"fill in|chmod|replace|switch|is not|spell|say |export|unpack|belong|indent|close|has steps|keep|number |end with"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass
class Outcome:
    """The outcome of a case: exit status (None: timeout), output, and which files it changed."""

    case: Case
    status: int | None
    output: str
    changed: list[str]
    seconds: float

    def find_faults(self) -> list[str]:
        """Return the faults of the outcome; an empty list if it is as expected."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        found = []
        if self.status is None or self.status < 0:
            found.append("did not end" if self.status is None else f"ended by signal {-self.status}")
        elif self.case.accepted != (self.status == 0):
            found.append("refused" if self.case.accepted else "accepted")
        if "Traceback (most recent call last)" in self.output:
            found.append("traceback")
        if self.case.location and self.case.location not in self.output:
            found.append(f"does not name {self.case.location!r}")
        if any(CONTROL.search(line) for line in lines):
            found.append("control characters")
        if self.case.accepted:
            return found
        if len(lines) > MAX_LINES:
            found.append(f"{len(lines)} lines")
        if max(map(len, lines), default=0) > MAX_LINE_LENGTH:
            found.append("a line that is too long")
        if not FIX.search(self.output):
            found.append("names no fix")
        if self.changed:
            found.append(f"changed {', '.join(self.changed[:3])}")
        return found

    def to_row(self) -> Row:
        """Return the outcome as a row of the results."""
        first = next((line for line in self.output.splitlines() if line.strip()), "")
        row: Row = {"file": self.case.file, "input": self.case.what, "command": " ".join(self.case.command)[:120]}
        row |= {"expected": "accepted" if self.case.accepted else "refused", "status": self.status}
        return {**row, "says": first[:200], "faults": self.find_faults()}


def import_libraries() -> None:
    """Import the libraries of stages and commands, so that forked processes do not have to."""
    for module in pkgutil.walk_packages(alloy.__path__, "alloy."):
        if not module.name.endswith(("__main__", "vllm_engine")):
            importlib.import_module(module.name)
    for name in ("utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "cp1252", "idna", "punycode"):  # a user without the
        importlib.import_module(f"encodings.{name}")  # right to read Python's own files needs these
    for name in ("datasets", "lm_eval.tasks", "lm_eval.api.task", "lm_eval.models.huggingface", "sklearn.svm", "tqdm"):
        importlib.import_module(name)
    from alloy.formats.ifeval_checks import load_verifiers

    load_verifiers()


def read_state(project: Path) -> dict[str, tuple[int, ...]]:
    """Return what shows whether a file was written, by path; scratch files of DVC and Alloy are left out."""
    found = {}
    for path in project.rglob("*"):
        name = str(path.relative_to(project))
        if not name.startswith((".dvc/tmp", ".git/", ".dvc/cache")) and "__pycache__" not in name:
            status = path.lstat()
            found[name] = (0,) if path.is_dir() else (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def run_case(case: Case, project: Path, output: Path, stdin_file: Path) -> None:
    """Run the command of a case in this forked process; never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir(project)
        for number, descriptor in ((os.open(stdin_file, os.O_RDONLY), 0), (os.open(output, os.O_WRONLY), 1)):
            os.dup2(number, descriptor)
        os.dup2(1, 2)
        if any("nobody" in part for part in (case.what,)) and os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        if case.command[0] == "dvc":
            os.environ.update(PYTHONPATH="", PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            os.execvp("dvc", case.command)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MAX_EXTRA_MEMORY, now + MAX_EXTRA_MEMORY))
        module, *words = case.command
        sys.argv = [module, *words]
        sys.path.insert(0, str(ROOT))
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


class RunningCase:
    """A running case, in its own copy of the project in `folder`."""

    def __init__(self, case: Case, source: Path, folder: Path) -> None:
        self.case, self.folder, self.begin = case, folder, time.monotonic()
        self.project, self.output, stdin_file = folder / "project", folder / "output", folder / "given"
        needs_git = case.command[0] == "dvc" or (
            case.command[0] == "alloy" and {*COMMANDS_THAT_NEED_GIT} & {*case.command[1:2]}
        )
        if self.project.exists():
            _remove(self.project)
        shutil.copytree(source, self.project, symlinks=True, ignore=None if needs_git else IGNORED)
        case.edit(self.project)
        if "nobody" in case.what:
            _open_to_all(self.project)
        self.before = read_state(self.project)
        self.output.write_bytes(b"")
        self.output.chmod(0o666)
        stdin_file.write_bytes(case.stdin)
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            run_case(case, self.project, self.output, stdin_file)

    def poll_outcome(self) -> Outcome | None:
        """Return the outcome, or None while the case is running."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        late = time.monotonic() - self.begin > TIMEOUT_SECONDS
        if not pid and not late:
            return None
        if not pid:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        after = read_state(self.project)
        changed = [name for name in after if after[name] != self.before.get(name) and name != "metrics/.gitignore"]
        if self.case.command[0] != "dvc":  # DVC removes outputs before a stage runs
            changed += [f"{name} (removed)" for name in self.before.keys() - after.keys()]
        code = os.waitstatus_to_exitcode(status) if pid else None
        output = self.output.read_bytes()[: 10**6].decode("utf-8", "replace")
        return Outcome(self.case, code, output, sorted(changed), time.monotonic() - self.begin)


def _remove(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink() and not os.access(path, os.X_OK):
            path.chmod(0o700)
    shutil.rmtree(folder)


def _open_to_all(project: Path) -> None:
    """Give other users all permissions in the copy, except for files without any permission."""
    for path in [project, *project.rglob("*")]:
        if not path.is_symlink() and (mode := path.stat().st_mode & 0o777):
            path.chmod(mode | (0o777 if path.is_dir() else 0o666))


def run_cases(cases: list[Case], source: Path, folder_of_copies: Path, seconds: float) -> list[Outcome]:
    """Run the cases, one per core at a time, until `seconds` have passed."""
    folder_of_copies.chmod(0o755)
    begin, last_report = time.monotonic(), 0.0
    pending, outcomes, running = list(reversed(cases)), list[Outcome](), list[RunningCase]()
    free = [folder_of_copies / str(number) for number in range(os.cpu_count() or 1)]
    for folder in free:
        folder.mkdir()
    while running or (pending and time.monotonic() - begin < seconds):
        while pending and free and time.monotonic() - begin < seconds:
            running.append(RunningCase(pending.pop(), source, free.pop()))
        for case in list(running):
            if outcome := case.poll_outcome():
                running.remove(case)
                free.append(case.folder)
                outcomes.append(outcome)
                if faults := outcome.find_faults():
                    print(
                        f"{outcome.case.name} ({' '.join(outcome.case.command)[:80]}): {'; '.join(faults)}", flush=True
                    )
        if time.monotonic() - last_report > 10:
            last_report, spent = time.monotonic(), time.monotonic() - begin
            seconds_left = spent / max(len(outcomes), 1) * (len(cases) - len(outcomes))
            print(
                f"[{len(outcomes)} of {len(cases)} inputs, {spent:.0f} s, about {seconds_left:.0f} s left]", flush=True
            )
        time.sleep(0.005)
    return outcomes


def prepare_project(folder: Path) -> None:
    """Make a clone that has run the profile `smoke`, if there is none, and copy the code of this folder to it."""
    if not (folder / "metrics/report.html").is_file():
        print(f"making a good project in {folder}, about two minutes", flush=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        params = folder / "params.yaml"
        params.write_text(params.read_text().replace("profile: demo", "profile: smoke"))
        env = {**os.environ, "PYTHONPATH": "", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        result = subprocess.run(
            ["dvc", "repro", "-q"], cwd=folder, env=env, text=True, capture_output=True, check=False
        )
        if result.returncode:
            raise InputError(f"{folder}: `dvc repro` failed\n{result.stdout}{result.stderr}")
    for name in ("alloy", "stages"):
        shutil.rmtree(folder / name)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)


def summarize(outcomes: list[Outcome], command: str, seconds: float) -> Row:
    """Return the results: counts by file with an example of a message, and all inputs with a bad outcome."""
    by_file: dict[str, Row] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.case.name):
        counts = by_file.setdefault(outcome.case.file, {"inputs": 0, "accepted": 0, "bad": 0, "example": ""})
        counts["inputs"] += 1
        counts["accepted"] += outcome.status == 0
        counts["bad"] += bool(outcome.find_faults())
        if (
            outcome.status
            and not outcome.find_faults()
            and len(outcome.output) > len(counts["example"])
            and outcome.output.count("\n") == 1
        ):
            counts["example"] = outcome.output.strip()[:200]
    return {
        "command": command,
        "seconds": round(seconds),
        "inputs": len(outcomes),
        "refused": sum(outcome.status not in (0, None) for outcome in outcomes),
        "accepted": sum(outcome.status == 0 for outcome in outcomes),
        "bad": sum(bool(outcome.find_faults()) for outcome in outcomes),
        "by_file": by_file,
        "bad_inputs": [outcome.to_row() for outcome in outcomes if outcome.find_faults()],
    }


def main() -> None:
    """Prepare the project, run the cases, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="run only inputs whose name contains this text")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this number of minutes")
    parser.add_argument("--project", type=Path, help="folder for the good project; it is kept")
    parser.add_argument("--list", action="store_true", help="list the inputs and exit")
    parser.add_argument("--show", action="store_true", help="print the output of each input")
    options = parser.parse_args()
    cases = [case for group in (bad_rows, bad_settings, bad_tables, bad_commands) for case in group.list_cases()]
    cases = [case for case in cases if options.only in case.name]
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        return
    with tempfile.TemporaryDirectory() as name:
        source = (options.project or Path(name) / "good").resolve()
        prepare_project(source)
        import_libraries()
        begin = time.monotonic()
        outcomes = run_cases(cases, source, Path(name), 60 * options.minutes)
        for folder in Path(name).glob("*/project"):
            _remove(folder)
    if options.show:
        for outcome in outcomes:
            print(f"--- {outcome.case.name} [{outcome.status}, {outcome.seconds:.1f} s]\n{outcome.output[:3000]}")
    result = summarize(outcomes, " ".join(["python -m benchmarks.bad_inputs", *sys.argv[1:]]), time.monotonic() - begin)
    if len(outcomes) == len(cases) and not options.only:
        write_json(Path(f"benchmarks/results/bad-inputs-{datetime.datetime.now(tz=datetime.UTC).date()}.json"), result)
    print(f"{len(outcomes)} of {len(cases)} inputs, {result['refused']} refused, {result['bad']} bad")


if __name__ == "__main__":
    main()
