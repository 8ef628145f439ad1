"""Read and write files. Errors in JSON Lines have line numbers; files are written completely or not at all."""

import codecs
import glob
import gzip
import hashlib
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson

from alloy.core.redact import redact

Row = dict[str, Any]
LocatedRows = Iterator[tuple[str, Row]]  # rows with their location for error messages: `file:line` or `file: row n`
T = TypeVar("T")
MAX_MESSAGE_LINES = 10  # of an error message; further errors are only counted


class InputError(Exception):
    """An error in the user's input: where it is, what is wrong, how to fix it, on one line.

    A message of several lines has one error per line. Secrets are removed from it.
    """

    def __str__(self) -> str:
        """Return the message without secrets."""
        return redact(super().__str__())


def join_errors(errors: Iterable[str], *end: str) -> InputError:
    """Join errors, one per line: the first ones, how many more there are, then the lines `end`."""
    lines, limit = list(dict.fromkeys(errors)), MAX_MESSAGE_LINES - len(end)
    if len(lines) > limit:
        lines = [*lines[: limit - 1], f"and {len(lines) - limit + 1} more errors"]
    return InputError("\n".join([*lines, *end]))


def require_file(path: str | Path, fix: str = "") -> None:
    """Raise `InputError` unless `path` is a readable file; `fix` says what to do if it is missing.

    Without `fix`, the error says which stage makes the file, or how DVC or the user can provide it.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        from alloy.core.dvc_outputs import explain_restore  # here, because that module imports this one

        what = "a link to a file that does not exist" if path.is_symlink() else "no such file"
        raise InputError(f"{path}: {what}; {fix or explain_restore(path)}") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or has a NUL byte
        reason = error.strerror if isinstance(error, OSError) else "not a valid file name"
        what = "change the permissions" if isinstance(error, PermissionError) else fix or "put a file there"
        raise InputError(f"{path}: {reason}; {what}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected a file, got a folder; {fix or 'put a file there'}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected a file, got a pipe or device; copy its content to a file")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise make_permission_error(path)


def make_permission_error(path: Path) -> InputError:
    """Return the error about a file that may not be read."""
    return InputError(f"{path}: permission denied; run `chmod u+r {path}`")


def read_lines(path: str | Path) -> Iterator[bytes]:
    """Yield the lines of a file, decompressed if its name ends in .gz; a broken archive raises `InputError`."""
    path = Path(path)
    require_file(path)
    is_gzip = path.suffix.lower() == ".gz"
    with path.open("rb") as file:
        try:
            yield from gzip.GzipFile(fileobj=file) if is_gzip else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: not a complete gzip file ({error}); download it again") from None


def decode_text(location: str | Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Yield `lines` as text without a byte order mark. A line that is not UTF-8 raises `InputError` with `location`."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{location}:{number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
            ) from None


def number_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield `(line number from 1, line)` of each line that is not blank; a .gz file is decompressed.

    A file that is missing, empty or obviously not JSON Lines raises `InputError`.
    """
    path = Path(path)
    empty = True
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if empty and (problem := _describe_other_format(line)):
                raise InputError(f"{path}:{number}: {problem}")
            empty = False
            yield number, line
    if empty:
        raise InputError(f"{path}: the file is empty; write one JSON object per line")


def _describe_other_format(line: bytes) -> str | None:
    """Return what is wrong if the first line shows that the whole file has another format; else None."""
    start = line.lstrip()
    if start.startswith(b"["):
        return "a JSON array; write one JSON object per line, without the brackets and commas of the array"
    if line.startswith(b"PK\x03\x04"):
        return "a workbook or an archive; export it as JSON Lines, one JSON object per line"
    if line.startswith(b"\x1f\x8b"):
        return "compressed by gzip; decompress it, or let its name end in .gz"
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:4]:
        return "UTF-16 or not text; save the file as UTF-8"
    return None


def decode_line(path: str | Path, number: int, line: bytes) -> Row | InputError:
    """Return the row in a line, or the `InputError` if it is not a JSON object in UTF-8.

    The error is returned, not raised, so that the caller can decide whether to stop or to leave the row out.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return InputError(f"{path}:{number}: {_describe_json_error(line, error)}")
    if isinstance(row, dict):
        return row
    return InputError(f"{path}:{number}: expected a JSON object, got {name_json_type(row)}; write one {{...}} per line")


def name_json_type(value: object) -> str:
    """Return the JSON type of a value, with its article."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {list: "an array", str: "a string", dict: "an object"}.get(type(value), "a number")


def decode_lines(path: str | Path) -> Iterator[tuple[int, Row | InputError]]:
    """Yield `(line number from 1, row or error)` for each line that is not blank."""
    for number, line in number_lines(path):
        yield number, decode_line(path, number, line)


def check_lines(path: str | Path, check: Callable[[int, Row], T]) -> list[T]:
    """Apply `check` to each line number and row of a file, and return the results.

    `check` raises `ValueError` with what is wrong with a row and how to fix it. All bad rows of the file are raised as
    one `InputError`.
    """
    checked: list[T] = []
    errors: list[str] = []
    for number, row in decode_lines(path):
        try:
            if isinstance(row, InputError):
                errors.append(str(row))
            else:
                checked.append(check(number, row))
        except ValueError as error:
            errors.append(f"{path}:{number}: {error}")
    if errors:
        raise join_errors(errors)
    return checked


def decode_rows(path: str | Path, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """Yield the rows in numbered lines of the file `path`; the first bad line raises `InputError`."""
    for number, line in lines:
        row = decode_line(path, number, line)
        if isinstance(row, InputError):
            raise row
        yield row


def stream_jsonl(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a JSON Lines file; the first line that is not a JSON object raises `InputError`."""
    return decode_rows(path, number_lines(path))


def read_jsonl(path: str | Path) -> list[Row]:
    """Return the rows of a JSON Lines file; the first line that is not a JSON object raises `InputError`."""
    return list(stream_jsonl(path))


def read_located_rows(path: str | Path) -> LocatedRows:
    """Yield the rows of a JSON Lines file with their locations; the first bad line raises `InputError`."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        yield f"{path}:{number}", row


def count_lines(path: str | Path) -> int:
    """Return the number of lines that are not blank."""
    return sum(1 for line in read_lines(path) if line.strip())


def _describe_json_error(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as unicode_error:
        return f"byte {unicode_error.start + 1} is not UTF-8; save the file as UTF-8"
    if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>")):
        return "a merge conflict marker; keep one side, and remove the markers"
    return f"not valid JSON at column {error.colno} ({error.msg}); write one JSON object per line"


def is_jsonl(name: str) -> bool:
    """Return whether a file is JSON Lines by its name, compressed or not."""
    return name.lower().endswith((".jsonl", ".jsonl.gz"))


def find_files(folder: Path, matches: Callable[[str], object], expected: str) -> list[Path]:
    """Return the files below `folder`, at any depth, whose names match; sorted, without hidden files.

    If there are none, `InputError` is raised with the message `expected`.
    """
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and matches(path.name))
    if not files:
        raise InputError(f"{folder}: {expected}")
    return files


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` write a temporary file next to `path`, and rename it, so that `path` is never incomplete."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: expected a file, got a folder; use another path, or move the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = make_temporary_path(path)
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_folder(folder: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder next to `folder`, and rename it, so that `folder` is never incomplete."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = make_temporary_path(folder)
    remove_path(part)
    try:
        part.mkdir()
        write(part)
        remove_path(folder)
        part.rename(folder)
    finally:
        remove_path(part)


def make_temporary_path(path: Path) -> Path:
    """Return the temporary path at which this process writes `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def remove_temporary_files(path: Path) -> None:
    """Remove the temporary files and folders of `path` that killed processes left."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        remove_path(part)


def remove_path(path: Path) -> None:
    """Remove a file or a folder if it exists; of a link, only the link itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Write the lines, each followed by a newline."""

    def write_part(part: Path) -> None:
        with part.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)

    write_atomically(path, write_part)


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    """Write one JSON object per line, in UTF-8."""
    write_lines(path, map(orjson.dumps, rows))


def write_json(path: str | Path, value: object) -> None:
    """Write an indented JSON document that ends in a newline."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    write_atomically(path, lambda file: file.write_bytes(text))


def read_json(path: str | Path) -> Any:  # noqa: ANN401 (a JSON document may be anything)
    """Return the JSON document in `path`."""
    require_file(path)
    try:
        return orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        from alloy.core.dvc_outputs import explain_restore  # here, because that module imports this one

        raise InputError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}); {explain_restore(Path(path))}"
        ) from None


def hash_path(path: Path) -> str:
    """Return the SHA-256 hash of a file, or of the names and hashes of the files below a folder."""
    if not path.is_file():
        return hash_files(path, (file for file in path.rglob("*") if file.is_file()))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 hash of the names and hashes of some files below a folder, in any order.

    Names are relative to the folder, so that a copy of the folder has the same hash.
    """
    return combine_hashes({str(file.relative_to(folder)): hash_path(file) for file in files})


def combine_hashes(hashes: dict[str, str]) -> str:
    """Return the SHA-256 hash of the names and hashes of files, in any order."""
    digest = hashlib.sha256()
    for name in sorted(hashes, key=Path):
        digest.update(f"{name}\0{hashes[name]}\0".encode())
    return digest.hexdigest()
