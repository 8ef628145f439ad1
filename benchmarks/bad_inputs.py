"""Give each stage and command malformed inputs, one at a time, and see whether it says where and how to fix it.

    python -m benchmarks.bad_inputs [--only WORDS] [--minutes M] [--project FOLDER] [--list]

An input is a small edit of a good project: a clone of the last commit that has run the profile `smoke` (two minutes;
`--project` takes one that has, or keeps the one that is made). For each input:

1. Copy the project, edit the copy, and run the stage or command that reads the input in it. Stages and commands are
   forked from a process that has loaded their libraries, and run as `python -m` would run them.
2. Judge how it ended. It must fail with one message of at most ten lines, that names the place (file and line, or key)
   and the fix, without a traceback or control characters. No file of the copy may have changed.
3. An input that is legal after all must be accepted, with a warning where the case names one.

What the inputs are: benchmarks/bad_rows.py, bad_settings.py, bad_commands.py. Prints a line per input that is judged
bad, and how far it is; a whole run ends with benchmarks/results/bad-inputs-<date>.json.
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
from benchmarks import bad_commands, bad_rows, bad_settings
from benchmarks.bad_case import Case

ROOT = Path(__file__).resolve().parents[1]
LINES, LETTERS = 10, 1000  # of a message, and of each of its lines
PATIENCE = 120  # seconds for an input
MEMORY = 6 * 2**30  # bytes that a process may take beyond what it has at the start
GIT = ("dvc", "sweep", "review", "smoke", "frontier", "check")  # commands that need the whole project, with its history
LEFT_OUT = shutil.ignore_patterns(".git", "cache", "tmp", "alloy", "tests", "docs", "__pycache__", ".venv")
FIX = re.compile(
    r"expected|write|give|set |run|use |add|remove|take|save|correct|rename|did you mean|known|name |quote|make|fetch|"
    r"check|label|drop|leave|resolve|--help|raise|lower|choose|free|try|must|only|put|wait|install|delete|change|unique|"
    r"download|convert|copy it|describe|accept|log in|"
    r"switch|is not|spell|say |export|unpack|belong|indent|close|has steps|keep|number |end with"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass
class Ended:
    """How a case ended: exit status (None: it did not end), what it said, which files it changed."""

    case: Case
    status: int | None
    said: str
    changed: list[str]
    seconds: float

    def faults(self) -> list[str]:
        """Return what is bad about it; nothing if it ended as it should."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        found = []
        if self.status is None or self.status < 0:
            found.append("did not end" if self.status is None else f"ended by signal {-self.status}")
        elif self.case.legal != (self.status == 0):
            found.append("refused" if self.case.legal else "accepted")
        if "Traceback (most recent call last)" in self.said:
            found.append("traceback")
        if self.case.place and self.case.place not in self.said:
            found.append(f"does not name {self.case.place!r}")
        if any(CONTROL.search(line) for line in lines):
            found.append("control characters")
        if self.case.legal:
            return found
        if len(lines) > LINES:
            found.append(f"{len(lines)} lines")
        if max(map(len, lines), default=0) > LETTERS:
            found.append("a line that is too long")
        if not FIX.search(self.said):
            found.append("names no fix")
        if self.changed:
            found.append(f"changed {', '.join(self.changed[:3])}")
        return found

    def row(self) -> Row:
        """Return it as the results list it."""
        first = next((line for line in self.said.splitlines() if line.strip()), "")
        row: Row = {"file": self.case.file, "input": self.case.what, "command": " ".join(self.case.command)[:120]}
        row |= {"expected": "accepted" if self.case.legal else "refused", "status": self.status}
        return {**row, "says": first[:200], "faults": self.faults()}


def preload() -> None:
    """Load what stages and commands load, so that a forked process does not have to."""
    for module in pkgutil.walk_packages(alloy.__path__, "alloy."):
        if not module.name.endswith(("__main__", "vllm_engine")):
            importlib.import_module(module.name)
    for name in ("utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "cp1252", "idna", "punycode"):  # for a user without
        importlib.import_module(f"encodings.{name}")  # the right to read Python's own files
    for name in ("datasets", "lm_eval.tasks", "lm_eval.api.task", "lm_eval.models.huggingface", "sklearn.svm", "tqdm"):
        importlib.import_module(name)
    from alloy.formats.ifeval_checks import load_verifiers

    load_verifiers()


def state(project: Path) -> dict[str, tuple[int, ...]]:
    """Return what tells whether a file was written, by path; DVC's and our own scratch is left out."""
    found = {}
    for path in project.rglob("*"):
        name = str(path.relative_to(project))
        if not name.startswith((".dvc/tmp", ".git/", ".dvc/cache")) and "__pycache__" not in name:
            status = path.lstat()
            found[name] = (0,) if path.is_dir() else (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def execute(case: Case, project: Path, output: Path, given: Path) -> None:
    """Run the command of a case in this process, a forked one; never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir(project)
        for number, descriptor in ((os.open(given, os.O_RDONLY), 0), (os.open(output, os.O_WRONLY), 1)):
            os.dup2(number, descriptor)
        os.dup2(1, 2)
        if any("nobody" in part for part in (case.what,)) and os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        if case.command[0] == "dvc":
            os.environ.update(PYTHONPATH="", PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            os.execvp("dvc", case.command)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
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


class Running:
    """A case at work in its own copy of the project, below `place`."""

    def __init__(self, case: Case, source: Path, place: Path) -> None:
        self.case, self.place, self.begin = case, place, time.monotonic()
        self.project, self.output, given = place / "project", place / "output", place / "given"
        whole = case.command[0] == "dvc" or (case.command[0] == "alloy" and {*GIT} & {*case.command[1:2]})
        if self.project.exists():
            _remove(self.project)
        shutil.copytree(source, self.project, symlinks=True, ignore=None if whole else LEFT_OUT)
        case.edit(self.project)
        if "nobody" in case.what:
            _open_to_all(self.project)
        self.before = state(self.project)
        self.output.write_bytes(b"")
        self.output.chmod(0o666)
        given.write_bytes(case.stdin)
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            execute(case, self.project, self.output, given)

    def ended(self) -> Ended | None:
        """Return how it ended; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        late = time.monotonic() - self.begin > PATIENCE
        if not pid and not late:
            return None
        if not pid:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        after = state(self.project)
        changed = [name for name in after if after[name] != self.before.get(name) and name != "metrics/.gitignore"]
        if self.case.command[0] != "dvc":  # it removes outputs before a stage runs
            changed += [f"{name} (removed)" for name in self.before.keys() - after.keys()]
        code = os.waitstatus_to_exitcode(status) if pid else None
        said = self.output.read_bytes()[: 10**6].decode("utf-8", "replace")
        return Ended(self.case, code, said, sorted(changed), time.monotonic() - self.begin)


def _remove(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink() and not os.access(path, os.X_OK):
            path.chmod(0o700)
    shutil.rmtree(folder)


def _open_to_all(project: Path) -> None:
    """Let another user do all that is not forbidden in the copy."""
    for path in [project, *project.rglob("*")]:
        if not path.is_symlink() and (mode := path.stat().st_mode & 0o777):
            path.chmod(mode | (0o777 if path.is_dir() else 0o666))


def campaign(cases: list[Case], source: Path, place: Path, seconds: float) -> list[Ended]:
    """Run the cases, as many at once as there are cores, until the time is over."""
    place.chmod(0o755)
    begin, told = time.monotonic(), 0.0
    todo, done, running = list(reversed(cases)), list[Ended](), list[Running]()
    free = [place / str(number) for number in range(os.cpu_count() or 1)]
    for folder in free:
        folder.mkdir()
    while running or (todo and time.monotonic() - begin < seconds):
        while todo and free and time.monotonic() - begin < seconds:
            running.append(Running(todo.pop(), source, free.pop()))
        for one in list(running):
            if end := one.ended():
                running.remove(one)
                free.append(one.place)
                done.append(end)
                if faults := end.faults():
                    print(f"{end.case.name} ({' '.join(end.case.command)[:80]}): {'; '.join(faults)}", flush=True)
        if time.monotonic() - told > 10:
            told, spent = time.monotonic(), time.monotonic() - begin
            left = spent / max(len(done), 1) * (len(cases) - len(done))
            print(f"[{len(done)} of {len(cases)} inputs, {spent:.0f} s, about {left:.0f} s left]", flush=True)
        time.sleep(0.005)
    return done


def prepare(folder: Path) -> None:
    """Make a clone that has run the profile `smoke`, unless there is one, and give it the code of this folder."""
    if not (folder / "metrics/report.html").is_file():
        print(f"making a good project in {folder}, about two minutes", flush=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        params = folder / "params.yaml"
        params.write_text(params.read_text().replace("profile: demo", "profile: smoke"))
        env = {**os.environ, "PYTHONPATH": "", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        made = subprocess.run(["dvc", "repro", "-q"], cwd=folder, env=env, text=True, capture_output=True, check=False)
        if made.returncode:
            raise InputError(f"{folder}: `dvc repro` failed\n{made.stdout}{made.stderr}")
    for name in ("alloy", "stages"):
        shutil.rmtree(folder / name)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)


def summary(done: list[Ended], command: str, seconds: float) -> Row:
    """Return the results: counts by file with an example of what was said, and all inputs that are bad."""
    by_file: dict[str, Row] = {}
    for end in sorted(done, key=lambda end: end.case.name):
        counts = by_file.setdefault(end.case.file, {"inputs": 0, "accepted": 0, "bad": 0, "example": ""})
        counts["inputs"] += 1
        counts["accepted"] += end.status == 0
        counts["bad"] += bool(end.faults())
        if end.status and not end.faults() and len(end.said) > len(counts["example"]) and end.said.count("\n") == 1:
            counts["example"] = end.said.strip()[:200]
    return {
        "command": command,
        "seconds": round(seconds),
        "inputs": len(done),
        "refused": sum(end.status not in (0, None) for end in done),
        "accepted": sum(end.status == 0 for end in done),
        "bad": sum(bool(end.faults()) for end in done),
        "by_file": by_file,
        "bad_inputs": [end.row() for end in done if end.faults()],
    }


def main() -> None:
    """Prepare, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="only inputs whose name has these words")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many minutes")
    parser.add_argument("--project", type=Path, help="a folder for the good project, which is kept")
    parser.add_argument("--list", action="store_true", help="list the inputs and end")
    parser.add_argument("--show", action="store_true", help="print what is said of each input")
    given = parser.parse_args()
    cases = [case for group in (bad_rows, bad_settings, bad_commands) for case in group.cases()]
    cases = [case for case in cases if given.only in case.name]
    if given.list:
        print(*(case.name for case in cases), sep="\n")
        return
    with tempfile.TemporaryDirectory() as name:
        source = (given.project or Path(name) / "good").resolve()
        prepare(source)
        preload()
        begin = time.monotonic()
        done = campaign(cases, source, Path(name), 60 * given.minutes)
        for folder in Path(name).glob("*/project"):
            _remove(folder)
    if given.show:
        for end in done:
            print(f"--- {end.case.name} [{end.status}, {end.seconds:.1f} s]\n{end.said[:3000]}")
    result = summary(done, " ".join(["python -m benchmarks.bad_inputs", *sys.argv[1:]]), time.monotonic() - begin)
    if len(done) == len(cases) and not given.only:
        write_json(Path(f"benchmarks/results/bad-inputs-{datetime.datetime.now(tz=datetime.UTC).date()}.json"), result)
    print(f"{len(done)} of {len(cases)} inputs, {result['refused']} refused, {result['bad']} bad")


if __name__ == "__main__":
    main()
