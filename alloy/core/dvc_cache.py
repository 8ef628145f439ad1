"""Find and remove damaged files in DVC's cache, which DVC does not remove itself (seen with DVC 3.67).

    .dvc/cache/runs/<xx>/<key>/<value>   an entry of the run cache: how a stage was run, and the hashes of its outputs
    .dvc/cache/files/md5/<xx>/<rest>     an object: the content of an output; its path is its MD5 hash

A damaged entry makes every later `dvc repro` of its stage fail. A damaged object is copied to the output without an
error. When they are removed, DVC runs the stage again.
"""

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row, remove_path
from alloy.core.yaml_text import check_yaml

# `make repro` repairs before it runs DVC, so the repair must not take minutes. Larger objects, such as the weights of
# models, are only hashed if their size is wrong; `alloy check cache` hashes everything.
MAX_HASHED_OBJECT = 16 * 2**20  # bytes
MAX_HASHED = 2**30  # bytes of all objects together; about 2 seconds on one core
MAX_WRITE_SECONDS = 24 * 3600  # a folder of a shared cache that is older than this is not being written any more
ENTRY = re.compile(r"[0-9a-f]{64}")
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")
EMPTY_MD5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()
# What parsing YAML or JSON, and building its values, can raise for a damaged text: a tag that does not fit the value is
# a KeyError, a number of 5,000 digits a ValueError.
PARSE_ERRORS = (InputError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def load_lock(content: bytes) -> Row | None:
    """Return the values of a dvc.lock, or None if DVC could not use it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA

    lock = _load_yaml_as_dvc(content, COMPILED_LOCKFILE_SCHEMA)
    if lock is None or not all(map(_has_known_hashes, lock.get("stages", {}).values())):
        return None
    return lock


def _is_run(content: bytes) -> bool:
    """Return whether DVC could use the content of an entry of the run cache."""
    from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA

    stage = _load_yaml_as_dvc(content, COMPILED_LOCK_FILE_STAGE_SCHEMA)
    if stage is None or not _has_known_hashes(stage):
        return False
    outs = stage.get("outs", [])
    return bool(outs) and all(out.get("md5") for out in outs)  # an entry that was cut off has not all of them


def _load_yaml_as_dvc(content: bytes, schema: Callable[[Row], Any]) -> Row | None:
    """Return the values of a YAML file as DVC reads them; None if DVC could not read it, or if a key is duplicate."""
    from dvc.utils.serialize import ParseError, parse_yaml
    from voluptuous import Invalid

    try:
        text = content.decode()
        check_yaml(text, "dvc.lock")
        return schema(parse_yaml(text, "dvc.lock"))
    except (Invalid, ParseError, *PARSE_ERRORS):
        return None


def _has_known_hashes(stage: Row) -> bool:
    """Return whether `hash`, the name of a file's hash function, is "md5" everywhere: DVC 3 writes no other one."""
    return all(file.get("hash", "md5") == "md5" for file in [*stage.get("deps", []), *stage.get("outs", [])])


def repair_run_cache(runs: Path, root: Path) -> list[str]:
    """Remove damaged entries, and empty folders; return one line per folder or file.

    1. Remove files, pipes, and links to themselves in place of folders.
    2. In each folder, remove what is no complete entry, and the folder if nothing is left. Temporary files and empty
       folders of a cache that other projects share are kept for a day: another project may be writing there.
    """
    removed = [
        *_remove_unless_folders([runs]),
        *_remove_unless_folders(runs.glob("??")),
        *_remove_unless_folders(runs.glob("??/*")),
    ]
    is_shared = _is_shared(runs, root)
    for folder in runs.glob("??/*/"):
        is_written = is_shared and time.time() - folder.stat().st_mtime < MAX_WRITE_SECONDS
        entries = list(folder.iterdir())
        damaged = [entry for entry in entries if _is_damaged(entry, is_written)]
        for entry in damaged:
            remove_path(entry)
        is_removable = len(damaged) == len(entries) and (damaged or not is_written)
        if is_removable:
            folder.rmdir()
        if damaged or is_removable:
            removed.append(f"{folder}: removed files that were incomplete or damaged")
    return removed


def _remove_unless_folders(paths: Iterable[Path]) -> list[str]:
    """Remove the paths at which something other than a folder is; return one line per path."""
    wrong = [path for path in paths if _is_in_place_of_folder(path)]
    for path in wrong:
        path.unlink()
    return [f"{path}: removed, since it was in place of a folder" for path in wrong]


def _is_in_place_of_folder(path: Path) -> bool:
    """Return whether something that is no folder is at `path`.

    A link to nowhere does not count: the disk with the cache may not be mounted.
    """
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        return error.errno == errno.ELOOP and path.is_symlink()  # this link, and not a folder above it


def _is_shared(cache: Path, root: Path) -> bool:
    """Return whether `cache` is outside of the project, so that other projects may be writing there."""
    return not Path(os.path.realpath(cache)).is_relative_to(os.path.realpath(root))  # also for a link to itself


def _is_damaged(entry: Path, is_written: bool) -> bool:
    if ENTRY.fullmatch(entry.name):
        return not (entry.is_file() and _is_run(entry.read_bytes()))
    return not is_written  # a temporary file


def repair_objects(objects: Path, lock: Row) -> list[str]:
    """Remove damaged objects of the outputs in `lock`, the values of dvc.lock; return one line per object.

    1. Hash the objects whose sizes are wrong, since dvc.lock may have the wrong size.
    2. Of the others, hash those of at most `MAX_HASHED_OBJECT` bytes, until `MAX_HASHED` bytes have been hashed.
    3. Remove those whose hash is wrong.

    Objects that were added with `dvc add` are not checked, since no stage makes them again.
    """
    removed, known, budget = [], set(), MAX_HASHED
    for out in _list_outs(lock):
        for path, is_suspect in _list_objects(objects, out):
            size = path.stat().st_size
            if path in known or not (is_suspect or size <= min(budget, MAX_HASHED_OBJECT)):
                continue
            known.add(path)
            budget -= 0 if is_suspect else size
            if _hash_object(path) != path.parent.name + path.name.removesuffix(".dir"):
                remove_path(path)
                removed.append(f"{path}: removed, since it was damaged; `dvc repro` makes {out['path']} again")
    return removed


def _list_outs(lock: Row) -> Iterator[Row]:
    for stage in lock.get("stages", {}).values():
        yield from stage.get("outs", [])


def _list_objects(objects: Path, out: Row) -> Iterator[tuple[Path, bool]]:
    """Yield the objects of an output that exist, and whether each may be damaged: its size differs from dvc.lock.

    dvc.lock has only the total size of a folder. If the total is wrong, all files of the folder may be damaged. The
    list of a folder's files has no size in dvc.lock.
    """
    md5 = out.get("md5")
    if not isinstance(md5, str) or not OBJECT.fullmatch(md5):
        return
    path = _locate(objects, md5)
    if not path.exists():
        return
    if not path.is_file():
        yield path, True
        return
    if not md5.endswith(".dir"):
        size = path.stat().st_size
        yield path, size != out.get("size", size)
        return
    names = _read_file_hashes(path)
    yield path, True
    files = {name: file for name in names if (file := _locate(objects, name)).exists()}
    sizes = {name: file.stat().st_size for name, file in files.items()}
    is_total_wrong = len(files) == len(set(names)) and sum(sizes[name] for name in names) != out.get("size")
    for name, file in files.items():
        yield file, not file.is_file() or is_total_wrong or (sizes[name] == 0 and name != EMPTY_MD5)


def _locate(objects: Path, md5: str) -> Path:
    return objects / md5[:2] / md5[2:]


def _read_file_hashes(path: Path) -> list[str]:
    """Return the hashes of the files in a folder's object; an empty list if the object is damaged."""
    try:
        names = [entry["md5"] for entry in json.loads(path.read_bytes())]
        return names if all(map(OBJECT.fullmatch, names)) else []
    except (OSError, *PARSE_ERRORS):
        return []


def _hash_object(path: Path) -> str:
    """Return the MD5 hash of an object; an empty string if it is not a file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
