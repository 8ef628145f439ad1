"""Files and folders that survive a killed process or a power cut, and that show whether they were damaged.

A sealed folder holds a file `complete` with the SHA-256 hash of every other file. It is written last, after everything
else is on the disk: a folder without it is unfinished, and a folder whose files differ from it is damaged.
"""

import errno
import hashlib
import os
import shutil
import sys
from pathlib import Path

import orjson

from alloy.core.files import hash_path, write_atomically
from alloy.core.system_errors import is_system_error

SEAL = "complete"


def seal_folder(folder: Path) -> None:
    """Mark `folder` as complete.

    1. Hash each file below it, and wait until the file is on the disk.
    2. Wait until the folders are also on the disk, since they hold the names of the files.
    3. Write the hashes to `complete` in one step, and wait until this file and its name are on the disk.
    """
    hashes = {}
    for file in _list_files(folder):
        hashes[str(file.relative_to(folder))] = hash_path(file)
        sync_to_disk(file)
    for subfolder in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync_to_disk(subfolder)
    write_durable(folder / SEAL, orjson.dumps(hashes))


def is_sealed(folder: Path) -> bool:
    """Return whether `folder` was completed; it may have been damaged since."""
    return (folder / SEAL).is_file()


def find_damage(folder: Path) -> str | None:
    """Return the first file of a sealed folder that is missing, added or changed; None if the folder is intact."""
    try:
        expected = orjson.loads((folder / SEAL).read_bytes())
        found = {str(file.relative_to(folder)): file for file in _list_files(folder)}
        if not isinstance(expected, dict):
            return SEAL
        if differing := expected.keys() ^ found.keys():
            return min(differing)
        return next((name for name, file in found.items() if hash_path(file) != expected[name]), None)
    except orjson.JSONDecodeError:
        return SEAL
    except OSError as error:
        _raise_if_temporary(error)
        return SEAL


def discard_damaged(stage: str, folder: Path) -> bool:
    """Remove a sealed folder if it is damaged, and print a line about it; return whether it was damaged."""
    damaged_file = find_damage(folder)
    if damaged_file is None:
        return False
    print(f"{stage}: {folder / damaged_file}: damaged since it was written; doing this work again", file=sys.stderr)
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)
    return True


def seal_line(content: bytes) -> bytes:
    """Return a line with a checksum, a space and `content`, which must not have a line break."""
    return _compute_checksum(content) + b" " + content + b"\n"


def read_line(line: bytes) -> bytes | None:
    """Return the content of a line that `seal_line` returned, or None if the line is damaged."""
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    return content if checksum == _compute_checksum(content) else None


def _compute_checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest()[:16].encode()


def _raise_if_temporary(error: OSError) -> None:
    """Raise `error` if the file itself may be intact: if memory or open files have run out, no file can be read.

    An input/output error (EIO) means that the disk has damaged the file.
    """
    if is_system_error(error) and error.errno != errno.EIO:
        raise error


def make_folder(path: Path) -> None:
    """Make a folder unless it exists. If a damaged disk has left a file in its place, remove the file."""
    if path.is_file():
        path.unlink(missing_ok=True)
    path.mkdir(parents=True, exist_ok=True)


def make_way_for_file(path: Path) -> None:
    """Remove a folder that a damaged disk has left in place of the file `path`."""
    if path.is_dir():
        shutil.rmtree(path)


def write_durable(path: Path, content: bytes) -> None:
    """Write a file, and return when it is whole and on the disk."""
    make_way_for_file(path)

    def write_and_sync(part: Path) -> None:
        part.write_bytes(content)
        sync_to_disk(part)

    write_atomically(path, write_and_sync)
    sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _list_files(folder: Path) -> list[Path]:
    """Return the files below a folder, without its seal."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / SEAL)
