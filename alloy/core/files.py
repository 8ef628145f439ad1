"""Rows in files: JSON Lines read with line numbers, and files that appear whole or not at all."""

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
T = TypeVar("T")
LINES = 10  # of a message at most; errors beyond are counted


class InputError(Exception):
    """A fault in what the user gave: one line with the place, what is wrong and the mend.

    A message of several lines holds one fault a line. Secrets in it are hidden, wherever it came from.
    """

    def __str__(self) -> str:
        """Return the message, without secrets."""
        return redact(super().__str__())


def join_errors(errors: Iterable[str], *end: str) -> InputError:
    """Return one error of several, each on its own line: the first ones, how many more there are, then `end`."""
    lines, room = list(dict.fromkeys(errors)), LINES - len(end)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"and {len(lines) - room + 1} more errors"]
    return InputError("\n".join([*lines, *end]))


def require_file(path: str | Path, fix: str = "") -> None:
    """Raise `InputError` unless `path` is a file that can be read; `fix` says what to do if there is none.

    Without `fix`, what to do follows from who makes the file: a stage, DVC, or the user.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        from alloy.core.dvc_outputs import how_to_make  # which reads YAML, and knows this module

        what = "a link to a file that does not exist" if path.is_symlink() else "no such file"
        raise InputError(f"{path}: {what}; {fix or how_to_make(path)}") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long, a NUL byte in it
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        what = "give yourself the right to read it" if isinstance(error, PermissionError) else fix or "put a file there"
        raise InputError(f"{path}: {reason}; {what}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: expected a file, found a folder; {fix or 'put a file there'}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: expected a file, found a pipe or device; copy its content into a file")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise InputError(f"{path}: you may not read it; give yourself the right with `chmod u+r`")


def read_lines(path: str | Path) -> Iterator[bytes]:
    """Yield the lines of a file as they are; one whose name ends in .gz is unpacked. A broken archive raises."""
    path = Path(path)
    require_file(path)
    packed = path.suffix.lower() == ".gz"
    with path.open("rb") as file:
        try:
            yield from gzip.GzipFile(fileobj=file) if packed else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: not a whole gzip file ({error}); fetch it again") from None


def decode_text(place: str | Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Yield `lines` as text, without a byte order mark; one that is not UTF-8 raises, with `place` as the file."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as fault:
            raise InputError(f"{place}:{number}: byte {fault.start + 1} is not UTF-8; save the file as UTF-8") from None


def number_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield `(line number from 1, line)` of each line that is not blank; a .gz file is unpacked.

    A file that is missing or holds no row raises.
    """
    path = Path(path)
    empty = True
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if empty and (other := _other_format(line)):
                raise InputError(f"{path}:{number}: {other}")
            empty = False
            yield number, line
    if empty:
        raise InputError(f"{path}: the file is empty; write one JSON object a line")


def _other_format(line: bytes) -> str | None:
    """Return what to say if the first line shows that a file is not JSON Lines, which no line alone would say."""
    start = line.lstrip()
    if start.startswith(b"["):
        return "a JSON array; write one JSON object per line, without brackets around them and commas between them"
    if line.startswith(b"PK\x03\x04"):
        return "a workbook or an archive; export it as JSON Lines, one JSON object per line"
    if line.startswith(b"\x1f\x8b"):
        return "packed by gzip; unpack it"
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in line[:4]:
        return "UTF-16 or not text; save the file as UTF-8"
    return None


def decode_line(path: str | Path, number: int, line: bytes) -> Row | InputError:
    """Return the row in a line.

    A line that is no JSON object in UTF-8 gives the `InputError` that says so, so that the caller decides whether to
    stop or to set it aside.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return InputError(f"{path}:{number}: {_json_fault(line, error)}")
    if isinstance(row, dict):
        return row
    return InputError(f"{path}:{number}: expected a JSON object, found {json_type(row)}; write one {{...}} per line")


def json_type(value: object) -> str:
    """Return what JSON calls the type of a value."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {list: "an array", str: "a string", dict: "an object"}.get(type(value), "a number")


def decode_lines(path: str | Path) -> Iterator[tuple[int, Row | InputError]]:
    """Yield each line that is not blank as `(line number from 1, row or the fault of the line)`."""
    for number, line in number_lines(path):
        yield number, decode_line(path, number, line)


def check_lines(path: str | Path, check: Callable[[int, Row], T]) -> list[T]:
    """Return what `check` makes of each row and its line number; all bad rows of the file make one `InputError`.

    `check` raises `ValueError` with what is wrong with the row and how to fix it.
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
    """Yield the rows in numbered lines of the file `path`; the first that is not a JSON object raises `InputError`."""
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


def count_lines(path: str | Path) -> int:
    """Return the number of lines that are not blank."""
    return sum(1 for line in read_lines(path) if line.strip())


def _json_fault(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as fault:
        return f"byte {fault.start + 1} is not UTF-8; save the file as UTF-8"
    if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>")):
        return "a mark of a merge conflict; keep one side of it"
    return f"not valid JSON at column {error.colno} ({error.msg}); write one JSON object a line"


def is_jsonl(name: str) -> bool:
    """Say whether a file's name is that of JSON Lines, packed or not."""
    return name.lower().endswith((".jsonl", ".jsonl.gz"))


def find_files(folder: Path, fits: Callable[[str], object], wanted: str) -> list[Path]:
    """Return the files at any depth below `folder` whose names fit, in order; hidden ones are left out.

    Where there is none, `wanted` says in the error what belongs there.
    """
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and fits(path.name))
    if not files:
        raise InputError(f"{folder}: {wanted}")
    return files


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: no reader sees half a file."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder; name another place, or move the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_folder(folder: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `folder`, then replace it: nobody sees half of one."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(folder)
    remove(part)
    try:
        part.mkdir()
        write(part)
        remove(folder)
        part.rename(folder)
    finally:
        remove(part)


def part_of(path: Path) -> Path:
    """Return where this process writes what is to become `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def remove_parts(path: Path) -> None:
    """Remove what killed processes have left half-written of `path`."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Write the lines, each with an end."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)

    write_whole(path, write)


def write_jsonl(path: str | Path, rows: Iterable[Row]) -> None:
    """Write one JSON object a line, in UTF-8."""
    write_lines(path, map(orjson.dumps, rows))


def write_json(path: str | Path, value: object) -> None:
    """Write one indented JSON document that ends in a newline."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    write_whole(path, lambda part: part.write_bytes(text))


def read_json(path: str | Path) -> Any:  # noqa: ANN401 (a JSON document may be anything)
    """Return the JSON document in `path`."""
    require_file(path)
    try:
        return orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        from alloy.core.dvc_outputs import how_to_make  # which reads YAML, and knows this module

        raise InputError(f"{path}:{error.lineno}: not valid JSON ({error.msg}); {how_to_make(Path(path))}") from None


def sha256(path: Path) -> str:
    """Return the hash of a file, or of the names and hashes of the files below a folder."""
    if not path.is_file():
        return sha256_of(path, (file for file in path.rglob("*") if file.is_file()))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(folder: Path, files: Iterable[Path]) -> str:
    """Return the hash of the names and hashes of some files below a folder; in which order they come does not matter.

    Names are relative to the folder, so that a copy of the files has the same hash.
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder)}\0{sha256(file)}\0".encode())
    return digest.hexdigest()
