"""Repair files that a killed DVC process has damaged and that make every later DVC command fail.

DVC writes some of its own files in place. If it is killed while it writes, they are empty or truncated, and DVC does
not recover by itself (seen with DVC 3.67):

    .dvc/tmp/rwlock                    "Unable to read RWLock-file"
    .dvc/cache/runs/<xx>/<key>/        an empty folder: "join() argument must be str ... NoneType"
    .dvc/cache/runs/<xx>/<key>/*.tmp   half an entry, which DVC would read as a complete one
    dvc.lock                           truncated: "dvc.lock is invalid"
"""

import configparser
import fcntl
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from alloy.core.files import InputError, write_atomically
from alloy.core.yaml_fix import require_resolved
from alloy.core.yaml_text import check_yaml, load_yaml

LOCK_FILES = ("lock", "rwlock.lock")  # in .dvc/tmp; DVC locks them while it writes
MAX_WRITE_SECONDS = 24 * 3600  # a folder of a shared cache that is older than this is not being written any more
PARSED_FILES = ("params.yaml", "dvc.yaml")  # DVC parses them, and the profiles, before it runs any stage
ENTRY = re.compile(r"[0-9a-f]{64}")


def repair_dvc(root: Path = Path()) -> list[str]:
    """Repair DVC's own files in the project at `root`; return one line per damaged file.

    If another DVC process holds the locks of DVC, nothing is changed, and one line says so. Without DVC there is
    nothing to repair. Merge conflict markers, which DVC does not report clearly, raise `InputError`. So does a YAML
    file with more values than DVC can process.
    """
    parsed = [*(root / name for name in PARSED_FILES), *sorted((root / "profiles").glob("*.yaml"))]
    require_resolved([root / "dvc.lock", *parsed])
    for file in parsed:
        if file.is_file():
            check_yaml(file.read_text(encoding="utf-8", errors="replace"), file)
    tmp = root / ".dvc/tmp"
    if not tmp.is_dir():
        return []
    with _hold_locks([tmp / name for name in LOCK_FILES]) as is_locked:
        if not is_locked:
            return [f"{tmp}: another DVC process is running; nothing was repaired"]
        return [
            *_repair_rwlock(tmp / "rwlock"),
            *_repair_run_cache(_find_cache_folder(root) / "runs", root),
            *_repair_lock(root),
        ]


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
    try:
        if isinstance(json.loads(file.read_bytes()), dict):
            return []
    except FileNotFoundError:
        return []
    except ValueError:
        pass
    file.unlink()
    return [f"{file}: removed, since a killed DVC had left it incomplete"]


def _repair_run_cache(runs: Path, root: Path) -> list[str]:
    removed = []
    is_shared = not runs.resolve().is_relative_to(root.resolve())  # if so, another project may be writing there
    for folder in runs.glob("??/*/"):
        if is_shared and time.time() - folder.stat().st_mtime < MAX_WRITE_SECONDS:
            continue
        entries = list(folder.iterdir())
        partial = [entry for entry in entries if entry.is_file() and not ENTRY.fullmatch(entry.name)]
        for entry in partial:
            entry.unlink()
        if len(partial) == len(entries):
            folder.rmdir()
        if partial or not entries:
            removed.append(f"{folder}: removed files that a killed DVC had left incomplete")
    return removed


def _repair_lock(root: Path) -> list[str]:
    """Restore a truncated dvc.lock from git; the run cache of DVC still has the stages that finished since."""
    file = root / "dvc.lock"
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8", errors="replace")
    if _is_lock(text):
        return []
    show = ["git", "show", f"HEAD:./{file.name}"]
    committed = subprocess.run(show, cwd=root, capture_output=True, check=False)
    if committed.returncode:
        file.unlink()
        return [f"{file}: removed, since a killed DVC had left it incomplete"]
    write_atomically(file, lambda file: file.write_bytes(committed.stdout))
    return [f"{file}: restored from git, since a killed DVC had left it incomplete; `dvc repro` reuses finished stages"]


def _is_lock(text: str) -> bool:
    """Return whether DVC can read the text of a dvc.lock. It can if the text was truncated between two stages."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(load_yaml(text, "dvc.lock"))
    except (InputError, Invalid):
        return False
    return True


def _find_cache_folder(root: Path) -> Path:
    """Return DVC's cache folder: `cache.dir` of .dvc/config.local or .dvc/config, else .dvc/cache."""
    for name in ("config.local", "config"):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        with suppress(configparser.Error, UnicodeDecodeError):  # DVC reports better what is wrong with it
            config.read(root / ".dvc" / name, encoding="utf-8")
        if folder := config.get("cache", "dir", fallback=""):
            return root / ".dvc" / folder  # relative paths are from the file's folder, as DVC reads them
    return root / ".dvc/cache"
