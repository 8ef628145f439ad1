"""Read every file of DVC's cache, and take away those whose content is not what their name says.

Reads   DVC's cache, which may be shared with other projects
Run     alloy check cache

DVC takes a cached file that nobody may write for whole and does not read it: one that a disk, or root through a hard
link, has spoilt goes into the next `dvc checkout`. Afterwards, `dvc pull --force` fetches what was taken away, and
restores the outputs that were made of it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alloy.core.files import InputError

OBJECT = re.compile(
    r"[0-9a-f]{30}(\.dir)?"
)  # the first two digits name the folder; the rest of DVC's files are passing


def cached(cache: Path) -> Iterator[Path]:
    """Yield the files of a cache in the order of their names."""
    for folder in sorted((cache / "files/md5").glob("[0-9a-f][0-9a-f]")):
        yield from sorted(file for file in folder.iterdir() if OBJECT.fullmatch(file.name))


def is_whole(file: Path) -> bool:
    """Say whether the content of a cached file has the MD5 sum that is its name."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found == file.parent.name + file.name.removesuffix(".dir")


def spoilt(files: list[Path], workers: int) -> list[Path]:
    """Return those of `files` that are not whole; `workers` of them are read at once."""
    with ThreadPoolExecutor(workers) as pool:
        return [file for file, whole in zip(files, pool.map(is_whole, files), strict=True) if not whole]


def doubt(outputs: list[Path]) -> None:
    """Have DVC read `outputs` again: it remembers a file's sum as long as the time of its last change is the same."""
    for output in outputs:
        for file in [output, *output.rglob("*")]:
            if file.is_file():
                os.utime(file)
            elif file.is_symlink():  # to what was taken away; DVC cannot read a folder that holds such a link
                file.unlink()


def main() -> None:
    """Read, take away, say so."""
    from dvc.repo import Repo

    with Repo() as repo:
        cache, outputs = Path(repo.cache.local.path), [Path(out.fs_path) for out in repo.index.outs if out.use_cache]
    cache = cache.parents[1] if cache.parts[-2:] == ("files", "md5") else cache
    files = list(cached(cache))
    if bad := spoilt(files, os.cpu_count() or 1):
        for file in bad:
            file.unlink()
        doubt(outputs)
        mend = "taken away; `dvc pull --force` fetches it again, `dvc repro` makes it where no remote has it"
        raise InputError(
            "\n".join(f"{os.path.relpath(file)}: not the content that DVC put there; {mend}" for file in bad)
        )
    print(f"cache: {len(files)} files, all whole")
