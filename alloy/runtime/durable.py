"""Files and folders that survive a kill, a power cut or a damaged disk, or are seen not to have.

A sealed folder holds a file `complete` with the SHA-256 of every other file. It is written last, after everything else
is on the disk: a folder without it is unfinished, and one whose files differ from it is damaged.
"""

import errno
import hashlib
import os
import shutil
import sys
from pathlib import Path

import orjson

from alloy.core.files import sha256, write_whole
from alloy.core.system_errors import is_system_error

SEAL = "complete"


def seal(folder: Path) -> None:
    """Mark `folder` as complete.

    1. Hash each file below it and wait until it is on the disk.
    2. Do the same for the folders, which hold the names.
    3. Write the hashes to `complete`, whole, and wait for that file and its name.
    """
    hashes = {}
    for file in _files(folder):
        hashes[str(file.relative_to(folder))] = sha256(file)
        sync(file)
    for inner in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync(inner)
    write_durable(folder / SEAL, orjson.dumps(hashes))


def is_sealed(folder: Path) -> bool:
    """Return whether `folder` was finished; it may be damaged since."""
    return (folder / SEAL).is_file()


def damage(folder: Path) -> str | None:
    """Return the first file of a sealed folder that is missing, added or changed; None if the folder is intact."""
    try:
        wanted = orjson.loads((folder / SEAL).read_bytes())
        found = {str(file.relative_to(folder)): file for file in _files(folder)}
        if not isinstance(wanted, dict):
            return SEAL
        if differing := wanted.keys() ^ found.keys():
            return min(differing)
        return next((name for name, file in found.items() if sha256(file) != wanted[name]), None)
    except orjson.JSONDecodeError:
        return SEAL
    except OSError as error:
        _raise_if_passing(error)
        return SEAL


def discard_damaged(stage: str, folder: Path) -> bool:
    """Remove a sealed folder that is damaged, and say so in one line; return whether it was."""
    broken = damage(folder)
    if broken is None:
        return False
    print(f"{stage}: {folder / broken}: damaged since it was written; doing this work again", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def seal_line(content: bytes) -> bytes:
    """Return a line that holds `content`, which has no line break, after the beginning of its SHA-256."""
    return _checksum(content) + b" " + content + b"\n"


def read_line(line: bytes) -> bytes | None:
    """Return the content of a line that `seal_line` made; None if the line is damaged."""
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    return content if checksum == _checksum(content) else None


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest()[:16].encode()


def _raise_if_passing(error: OSError) -> None:
    """Raise `error` if it says nothing of the file: without memory or open files to spare, no file can be read.

    A disk that cannot read the file has damaged it.
    """
    if is_system_error(error) and error.errno != errno.EIO:
        raise error


def write_durable(path: Path, content: bytes) -> None:
    """Write a file that is whole and on the disk when this returns."""

    def write(part: Path) -> None:
        part.write_bytes(content)
        sync(part)

    write_whole(path, write)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / SEAL)
