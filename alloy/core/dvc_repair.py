"""Repair files that a killed DVC process or a bad disk has damaged and that make every later DVC command fail.

DVC writes some of its own files in place. If it is killed while it writes, they are empty or truncated, and DVC does
not recover by itself (seen with DVC 3.67):

    .dvc/tmp/rwlock                    "Unable to read RWLock-file", "format error"
    .dvc/tmp/rwlock                    "is busy, it is being blocked by", if the PID of a killed DVC is in use again
    .dvc/tmp/rwlock, lock, rwlock.lock a folder, a pipe or a link to nowhere: a traceback, or DVC waits for ever
    .dvc/cache/runs/<xx>/<key>/        an empty folder: "join() argument must be str ... NoneType"
    .dvc/cache/runs/<xx>/<key>/*.tmp   half an entry, which DVC would read as a complete one
    dvc.lock                           truncated: "dvc.lock is invalid"
    /var/tmp/dvc/repo/<hash>/**/*.db   "database disk image is malformed", "file is not a database"

Damaged files in DVC's cache: alloy/core/dvc_cache.py. Damaged databases: alloy/core/dvc_state.py.
"""

import configparser
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from alloy.core.dvc_cache import load_lock, repair_objects, repair_run_cache
from alloy.core.dvc_state import repair_state
from alloy.core.files import InputError, Row, remove_path, write_atomically
from alloy.core.yaml_fix import require_resolved
from alloy.core.yaml_text import check_yaml, make_yaml_error, read_yaml

LOCK_FILES = ("lock", "rwlock.lock")  # in .dvc/tmp; DVC locks them while it writes
TRACKED = ("data/*.dvc", "data/*/*.dvc", "data/*/*/*.dvc")  # files that `dvc add` writes
DVC_COMMANDS = ("dvc", "alloy")  # one of these is in the command line of a process that runs DVC
CLOCK_SECONDS = 60.0  # the start of a process and the time of a file may differ by this much


def check_parsed_files(root: Path = Path(), *, lock: bool = True) -> None:
    """Raise `InputError` if DVC could not parse the YAML files of the project at `root`.

    DVC does not report merge conflict markers and duplicate keys clearly, and never ends if aliases stand for too many
    values. Syntax errors in dvc.lock are left to `repair_dvc`, which restores the file, and those in *.dvc to DVC.
    Without `lock`, dvc.lock is only searched for merge conflict markers.
    """
    from alloy.core.settings import read_mapping

    params, pipeline, lock_file = root / "params.yaml", root / "dvc.yaml", root / "dvc.lock"
    others = [file for pattern in ("profiles/*.yaml", "data/*/dvc.yaml") for file in sorted(root.glob(pattern))]
    require_resolved([lock_file, params, pipeline, *others])
    if params.is_file():
        read_mapping(params)
    if pipeline.is_file() and not isinstance(read_yaml(pipeline), dict | None):
        raise InputError(f"{pipeline}: expected `stages:` with the stages below it; restore the file from git")
    for file in filter(Path.is_file, others):
        if error := check_yaml(_read_text(file), file):
            raise make_yaml_error(error, file)
    tracked = [file for pattern in TRACKED for file in sorted(root.glob(pattern))]
    for file in filter(Path.is_file, [*tracked, lock_file] if lock else tracked):
        check_yaml(_read_text(file), file)


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def repair_dvc(root: Path = Path()) -> list[str]:
    """Repair DVC's own files in the project at `root`; return one line per damaged file.

    If another DVC process holds the locks of DVC, nothing is changed, and one line says so. Without DVC there is
    nothing to repair. Raises `InputError` if DVC could not parse its files.
    """
    check_parsed_files(root, lock=False)
    tmp = root / ".dvc/tmp"
    if not tmp.is_dir():
        return []
    cache = _find_cache_folder(root)
    locks = [tmp / name for name in LOCK_FILES]
    removed = [line for file in locks for line in _remove_unless_file(file)]
    with _hold_locks(locks) as is_locked:
        if not is_locked:
            return [*removed, f"{tmp}: another DVC process is running; nothing was repaired"]
        return [
            *removed,
            *_remove_unless_file(tmp / "rwlock"),
            *_repair_rwlock(tmp / "rwlock"),
            *repair_state(root),
            *repair_run_cache(cache / "runs", root),
            *_repair_lock(root / "dvc.lock"),
            *repair_objects(cache / "files/md5", _read_lock(root / "dvc.lock") or {}),
        ]


def _remove_unless_file(file: Path) -> list[str]:
    """Remove what is in place of a file: a folder, a pipe, or a link to nowhere or to itself."""
    if file.is_file() or not os.path.lexists(file):
        return []
    remove_path(file)
    return [f"{file}: removed, since it was not a regular file"]


@contextmanager
def _hold_locks(files: list[Path]) -> Iterator[bool]:
    """Lock `files` as DVC does, until the end of the `with` block; yield whether all could be locked."""
    with ExitStack() as stack:
        for file in files:
            handle = stack.enter_context(file.open("a"))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
        yield True


def _repair_rwlock(file: Path) -> list[str]:
    """Remove the file if DVC cannot read it, and the locks in it of processes that have ended."""
    if not file.is_file():
        return []
    lock = _read_rwlock(file)
    if lock is None:
        remove_path(file)
        return [f"{file}: removed, since a killed DVC had left it incomplete, or it was damaged"]
    written = file.stat().st_mtime
    infos = [*lock["write"].values(), *(info for readers in lock["read"].values() for info in readers)]
    ended = {pid for pid in {info["pid"] for info in infos} if not _may_hold_locks(pid, written)}
    if not ended:
        return []
    readers = {path: [info for info in infos if info["pid"] not in ended] for path, infos in lock["read"].items()}
    kept = {
        "write": {path: info for path, info in lock["write"].items() if info["pid"] not in ended},
        "read": {path: infos for path, infos in readers.items() if infos},
    }
    write_atomically(file, lambda part: part.write_text(json.dumps(kept), encoding="utf-8"))
    return [f"{file}: removed the locks of DVC processes that have ended: {', '.join(map(str, sorted(ended)))}"]


def _read_rwlock(file: Path) -> Row | None:
    """Return the locks as DVC reads them: `write` has a process per path, `read` several; None if DVC cannot."""
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        lock: Any = SCHEMA(json.loads(file.read_text(encoding="utf-8")))
        return lock
    except (Invalid, RecursionError, ValueError):
        return None


def _may_hold_locks(pid: int, written: float) -> bool:
    """Return whether process `pid` may be a DVC that holds locks in a file last written at time `written`.

    DVC only asks whether there is a process with this PID. It may be another program that got the PID later, or in a
    container, where the first process always has PID 1, the next run of the same command.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        programs = {Path(word).name for word in process.cmdline()}  # `dvc repro`, `python -m dvc`; not a project's name
        return process.create_time() <= written + CLOCK_SECONDS and not programs.isdisjoint(DVC_COMMANDS)
    except psutil.AccessDenied:  # a process of another user
        return True
    except (psutil.NoSuchProcess, OverflowError, ValueError):  # ended, or no valid PID
        return False


def _repair_lock(file: Path) -> list[str]:
    """Restore a damaged dvc.lock from git; the run cache of DVC still has the stages that finished since."""
    if not os.path.lexists(file) or _read_lock(file) is not None:
        return []
    show = ["git", "show", f"HEAD:./{file.name}"]
    committed = subprocess.run(show, cwd=file.parent, capture_output=True, check=False)
    is_restorable = committed.returncode == 0 and load_lock(committed.stdout) is not None
    if not is_restorable or not file.is_file():
        remove_path(file)
    if not is_restorable:
        return [f"{file}: removed, since it was incomplete or damaged, and git has no intact one"]
    write_atomically(file, lambda part: part.write_bytes(committed.stdout))
    return [f"{file}: restored from git, since it was incomplete or damaged; `dvc repro` reuses finished stages"]


def _read_lock(file: Path) -> Row | None:
    """Return the values of dvc.lock; None if it is missing or damaged."""
    return load_lock(file.read_bytes()) if file.is_file() else None


def _find_cache_folder(root: Path) -> Path:
    """Return DVC's cache folder: `cache.dir` of .dvc/config.local or .dvc/config, else .dvc/cache.

    Raises `InputError` if no path can have the name in `cache.dir`.
    """
    for name in ("config.local", "config"):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        with suppress(configparser.Error, UnicodeDecodeError):  # DVC reports better what is wrong with it
            config.read(root / ".dvc" / name, encoding="utf-8")
        if folder := config.get("cache", "dir", fallback=""):
            if "\0" in folder:
                raise InputError(f"{root / '.dvc' / name}: `dir` in [cache] has a NUL byte; write the path again")
            return root / ".dvc" / folder  # relative paths are from the file's folder, as DVC reads them
    return root / ".dvc/cache"
