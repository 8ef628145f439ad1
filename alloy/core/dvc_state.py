"""Find and remove damaged databases of DVC's state, which DVC does not remove itself (seen with DVC 3.67).

DVC keeps the hashes of files it has seen, the links it has made, and an index of the data in SQLite databases outside
of the project, in a folder per project:

    /var/tmp/dvc/repo/<hash>/hashes/local/cache.db
    /var/tmp/dvc/repo/<hash>/links/cache.db
    /var/tmp/dvc/repo/<hash>/index/**/*.db

`DVC_SITE_CACHE_DIR` or `core.site_cache_dir` may replace /var/tmp/dvc. If a database is damaged, every later DVC
command fails with "database disk image is malformed" or "file is not a database". The databases are only caches: DVC
makes them again.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alloy.core.files import remove_path

WAIT_SECONDS = 1.0  # for a database that another process has locked
# SQLITE_ERROR means that the version of the format is unknown. Other errors, such as "locked" or "cannot open", say
# nothing about the content.
DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
PRIMARY_CODE = 0xFF  # the bits of an error code of SQLite that are not details


def repair_state(root: Path) -> list[str]:
    """Remove the folders of damaged databases of the project at `root`; return one line per folder.

    If DVC could not find the databases either, such as with a broken configuration, there is nothing to repair.
    """
    from dvc.exceptions import DvcException

    try:
        files = sorted(find_state_folder(root).rglob("*.db"))
    except (DvcException, LookupError, OSError, ValueError):
        return []
    damaged = [file for file in files if _is_damaged(file)]
    for file in damaged:
        remove_path(file.parent)
    return [f"{file.parent}: removed, since {file.name} was damaged; DVC makes it again" for file in damaged]


def find_state_folder(root: Path) -> Path:
    """Return the folder of DVC's databases for the project at `root`, as DVC computes it.

    `Repo()` would open the databases, and fail if one is damaged. So only the attributes are set that DVC's property
    needs. DVC names the folder by the current folder, which has no symbolic links in it.
    """
    from dvc.repo import Repo
    from dvc_objects.fs.local import localfs

    repo = Repo.__new__(Repo)
    repo.root_dir = os.path.realpath(root)
    repo.dvc_dir = os.path.join(repo.root_dir, Repo.DVC_DIR)
    repo._fs = localfs
    repo._config = repo._remote = repo._remote_config = None
    return Path(repo.site_cache_dir)


def _is_damaged(file: Path) -> bool:
    if file.is_dir():
        return True
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS)
        ) as database:
            return database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode & PRIMARY_CODE in DAMAGE_CODES
