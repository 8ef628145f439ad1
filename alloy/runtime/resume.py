"""Work folders, in which long work keeps its progress: an interruption costs only seconds or minutes.

DVC deletes the outputs of a stage before it runs the stage. So progress is kept outside of them, in a folder under
.dvc/tmp/alloy of the main repository. Its name has a hash of everything that the result depends on: if a parameter
changes, another folder is used. `dvc repro`, `dvc exp run --temp` and the queue of DVC share these folders.

Algorithm (`resume_or_reuse`):

1. Lock the work folder of this stage and key (`hold_work_folder`). If another run is doing the same work, wait for it.
2. If the folder has no result, process the work. It resumes from the progress in the folder.
3. Write the result to a temporary folder, seal it (alloy/runtime/durable.py), and rename it: it appears whole.
4. Link the files of the result to the outputs of the stage.
5. The next run of any stage removes results that DVC has recorded (`remove_finished_work`).
"""

import fcntl
import hashlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from alloy.core.dvc import is_orphaned, list_files, read_stage_entry, record_dvc_process
from alloy.core.files import (
    InputError,
    Row,
    make_temporary_path,
    read_json,
    remove_path,
    remove_temporary_files,
)
from alloy.core.versions import find_installed_version
from alloy.runtime.durable import (
    discard_damaged,
    is_sealed,
    make_folder,
    make_way_for_file,
    read_line,
    seal_folder,
    seal_line,
    sync_to_disk,
    write_durable,
)

SUPERSEDED = "stopped, because a later run of this stage has started in this folder; use the later run"

LIBRARIES = ("torch", "transformers", "accelerate", "trl", "peft", "deepspeed", "vllm", "xgrammar", "lm_eval")
METRICS = "metrics.json"  # in a result; the same bytes as the metrics file of the stage
ROWS = "rows.jsonl"
PROJECT = "project"  # in a work folder: the project folder of the last run that used it, as a line with a checksum
# Finished rows (`row_log.py`). It is kept next to the result only if some rows are to be processed again.
ROW_LOG = "done.log"
KEPT_DAYS = 30  # rows to process again are kept for this time


def get_work_root() -> Path:
    """Return the folder that holds all work folders; in a temporary copy, DVC_ROOT is the main repository."""
    return Path(os.environ.get("DVC_ROOT", "."), ".dvc", "tmp", "alloy")


def hash_inputs(stage: str, values: object, model: str = "") -> str:
    """Return a hash of `values`, of all files that `stage` depends on in dvc.yaml, and of the versions of libraries.

    `model` is the item of the stage if it has a matrix, as in `infer@tuned`.
    """
    digest = hashlib.sha256(
        orjson.dumps([stage, values, [find_installed_version(name) for name in LIBRARIES]], default=_dump_settings)
    )
    for file in list_files(read_stage_entry(stage, model)["deps"]):
        with file.open("rb") as content:
            digest.update(f"{file}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()


def _dump_settings(settings: Any) -> Row:  # noqa: ANN401 (a pydantic model)
    return settings.model_dump(mode="json")


@dataclass(frozen=True)
class WorkFolder:
    """The work folder at `path`; the file `claim` has the id of the latest run of the stage in this project folder."""

    path: Path
    claim: Path
    run: str

    @property
    def result(self) -> Path:
        """The folder of the result. It appears whole."""
        return self.path / "result"

    def write_result(self, write: Callable[[Path], object]) -> None:
        """Let `write` fill the folder of the result; when this returns, the result is complete and on the disk."""
        part = self.path / "result.part"
        write(part)
        seal_folder(part)
        remove_path(self.result)  # a damaged one
        part.rename(self.result)
        sync_to_disk(self.path)

    def has_result(self, stage: str) -> bool:
        """Return whether there is an intact result; remove a damaged one, and print a line about it."""
        return self.result.exists() and not discard_damaged(stage, self.result)

    def find_checkpoint(self, stage: str) -> Path | None:
        """Return the last complete checkpoint; remove damaged ones, and print a line about each."""
        for checkpoint in sorted(self.path.glob("checkpoint-*"), key=_parse_checkpoint_step, reverse=True):
            if is_sealed(checkpoint) and not discard_damaged(stage, checkpoint):
                return checkpoint
        return None

    def keep_checkpoint(self, checkpoint: Path) -> None:
        """Wait until `checkpoint` is on the disk, mark it as complete, and remove the other ones."""
        seal_folder(checkpoint)
        sync_to_disk(self.path)
        for other in self.path.glob("checkpoint-*"):
            if other != checkpoint:
                shutil.rmtree(other)

    def is_superseded(self) -> bool:
        """Return whether a later run of the stage in the same project folder has started, so this one must stop."""
        try:
            return self.claim.read_bytes() != self.run.encode()
        except FileNotFoundError:
            return True

    def publish_output(self, name: str, out: Path) -> None:
        """Link the file or folder `name` of the result to `out`; the result is kept until DVC has recorded it."""
        remove_temporary_files(out)
        part = make_temporary_path(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        source = self.result / name
        try:
            if source.is_dir():
                shutil.copytree(source, part, copy_function=_link_or_copy)
            else:
                _link_or_copy(str(source), str(part))
            remove_path(out)
            part.rename(out)
        finally:
            remove_path(part)


def _link_or_copy(source: str, target: str) -> None:
    """Link a file that is not written to again; if that is impossible, as on another file system, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _parse_checkpoint_step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@contextmanager
def hold_work_folder(stage: str, key: str) -> Iterator[WorkFolder]:
    """Lock the work folder for the work `key` of `stage`, and yield it.

    1. Remove finished work that is no longer needed.
    2. Write the id of this run to the claim file of the stage. If an earlier run is still running without its `dvc`, it
       sees that it is superseded, saves a checkpoint and stops. This run resumes from there.
    3. Wait for the lock of the folder: another project folder may be doing the same work, and its result is reused.
    4. Remove unfinished checkpoints and temporary folders, and files and folders that are in place of each other.
    """
    path = get_work_root() / f"{stage}-{key[:16]}"
    remove_finished_work(wanted=path)
    locks = _make_lock_folder()
    project = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:16]
    folder = WorkFolder(path, locks / f"{stage}-{project}.claim", uuid.uuid4().hex)
    write_durable(folder.claim, folder.run.encode())
    with _open_lock(f"{path.name}.users") as users, _open_lock(f"{path.name}.lock") as lock:
        fcntl.flock(users, fcntl.LOCK_SH)
        _wait_for_lock(stage, lock)
        make_folder(path)
        write_durable(path / PROJECT, seal_line(os.fsencode(Path.cwd())))
        make_way_for_file(path / ROW_LOG)
        for part in [*path.glob("*.part"), *path.glob("checkpoint-*")]:
            if not is_sealed(part):
                remove_path(part)
        yield folder


def _make_lock_folder() -> Path:
    locks = get_work_root() / "locks"
    make_folder(get_work_root())
    make_folder(locks)
    return locks


def _open_lock(name: str) -> IO[str]:
    file = _make_lock_folder() / name
    make_way_for_file(file)
    return file.open("a+", encoding="utf-8", errors="replace")


def resume_or_reuse(stage: str, key: str, process: Callable[[WorkFolder], None], outs: dict[str, Path]) -> Row:
    """Call `process` to do the work `key` unless its result exists; link the files to `outs` and return the metrics.

    A result with rows that are to be processed again is removed, and `process` completes it from the rows that are
    kept.
    """
    record_dvc_process()
    with hold_work_folder(stage, key) as folder:
        if (folder.path / ROW_LOG).exists():
            remove_path(folder.result)
        if not folder.has_result(stage):
            process(folder)
        if folder.is_superseded() or is_orphaned():
            raise InputError(
                "finished, but DVC has exited or a later run has started; the next `dvc repro` reuses the result"
            )
        for name, out in outs.items():
            folder.publish_output(name, out)
        return read_json(folder.result / METRICS)


def _wait_for_lock(stage: str, lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        print(f"{stage}: process {lock.read()} is doing the same work; waiting for it to stop", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _is_recorded(result: Path) -> bool:
    """Return whether dvc.lock has the metrics of `result`; they include the speed, which differs from run to run."""
    lock, metrics = Path("dvc.lock"), result / METRICS
    if not (lock.is_file() and metrics.is_file()):
        return False
    return hashlib.md5(metrics.read_bytes(), usedforsecurity=False).hexdigest().encode() in lock.read_bytes()


def _has_rows_to_redo(log: Path) -> bool:
    """Return whether the next run is to process some rows again; not if the log is older than `KEPT_DAYS`."""
    return log.exists() and time.time() - log.stat().st_mtime < KEPT_DAYS * 24 * 3600


def _is_finished(folder: Path, *, is_wanted: bool) -> bool:
    """Return whether the work in `folder` is no longer needed: DVC has recorded it, or its project folder is gone.

    If the name of the project folder is damaged, the work is kept; the next run that uses it writes the name again.
    """
    try:
        project = read_line((folder / PROJECT).read_bytes())
        if project is None:
            return False
        if project == os.fsencode(Path.cwd()):
            return _is_recorded(folder / "result") and not _has_rows_to_redo(folder / ROW_LOG)
        return not is_wanted and not Path(os.fsdecode(project)).exists()
    except OSError:  # such as a file that was removed by another process, or that cannot be read
        return False


def remove_finished_work(wanted: Path | None = None) -> None:
    """Remove the finished work of this project folder that DVC has recorded, and of project folders that are gone.

    The `wanted` folder is kept even if its project folder is gone: DVC also removes a temporary copy after an error in
    DVC itself.
    """
    trash = get_work_root() / "gone"
    for leftover in trash.glob("*"):  # of a removal that was interrupted
        shutil.rmtree(leftover, ignore_errors=True)
    for result in get_work_root().glob("*/result"):
        folder = result.parent
        with _open_lock(f"{folder.name}.users") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # in use
                continue
            if _is_finished(folder, is_wanted=folder == wanted):
                make_folder(trash)
                folder.rename(trash / uuid.uuid4().hex)  # in one step, so that no run finds half of a work folder
    for leftover in trash.glob("*"):
        shutil.rmtree(leftover)
