"""Read every file of DVC's cache, and remove those whose content does not match their name.

Reads   DVC's cache, which may be shared with other projects
Run     alloy check cache

The name of a cached file is the MD5 hash of its content. DVC does not hash a read-only cached file again: it assumes
that the file is intact. So `dvc checkout` would use a file that a bad disk, or root through a hard link, has changed.
After this command, `dvc pull --force` fetches the removed files again, and restores the outputs that use them.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alloy.core.files import InputError

# The first two digits of the hash are the name of the folder. Other files in it are temporary files of DVC.
OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
FIX = "restore it with `dvc pull --force`, or without a remote with `dvc repro`"


def list_cached_files(cache: Path) -> Iterator[Path]:
    """Yield the files of a cache, sorted by name."""
    for folder in sorted((cache / "files/md5").glob("[0-9a-f][0-9a-f]")):
        yield from sorted(file for file in folder.iterdir() if OBJECT.fullmatch(file.name))


def is_intact(file: Path) -> bool:
    """Return whether the MD5 hash of a cached file's content is the file's name."""
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return md5 == file.parent.name + file.name.removesuffix(".dir")


def find_corrupt_files(files: list[Path], workers: int) -> list[Path]:
    """Return the files that are not intact; `workers` files are read in parallel."""
    with ThreadPoolExecutor(workers) as pool:
        return [file for file, intact in zip(files, pool.map(is_intact, files), strict=True) if not intact]


def make_dvc_hash_again(outputs: list[Path]) -> None:
    """Change the modification times of `outputs`: DVC hashes a file again only if its time has changed."""
    for output in outputs:
        for file in [output, *output.rglob("*")]:
            if file.is_file():
                os.utime(file)
            elif file.is_symlink():  # a link to a removed file; DVC cannot read a folder with such a link
                file.unlink()


def main() -> None:
    """Read all cached files, remove the corrupt ones and list them."""
    from dvc.repo import Repo

    with Repo() as repo:
        cache, outputs = Path(repo.cache.local.path), [Path(out.fs_path) for out in repo.index.outs if out.use_cache]
    cache = cache.parents[1] if cache.parts[-2:] == ("files", "md5") else cache
    files = list(list_cached_files(cache))
    if corrupt := find_corrupt_files(files, os.cpu_count() or 1):
        for file in corrupt:
            file.unlink()
        make_dvc_hash_again(outputs)
        raise InputError("\n".join(f"{os.path.relpath(file)}: corrupt, so it was removed; {FIX}" for file in corrupt))
    print(f"cache: {len(files)} files, all intact")
