"""One malformed input for `benchmarks/bad_inputs.py`, and functions that damage a file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from alloy.core.files import Row, remove_path

Edit = Callable[[Path], object]  # a function that damages a copy of the project
MISSING = object()  # the value of a key that is removed


@dataclass(frozen=True)
class Case:
    """A malformed input, and the expected outcome.

    - `file`: the file that the user wrote, or the command whose arguments they gave.
    - `what`: what is wrong with it.
    - `edit`: damages a copy of the project in this way.
    - `command`: the command that reads the file.
    - `location`: text that the output must have: a file with its line, or a key.
    - `accepted`: whether the input is accepted; then `location` must be in the warning, if it is not empty.
    """

    file: str
    what: str
    edit: Edit
    command: tuple[str, ...]
    location: str
    accepted: bool = False
    stdin: bytes = b""

    @property
    def name(self) -> str:
        """The name by which `--list` shows and `--only` selects the case."""
        return f"{self.file}: {self.what}"


def leave_unchanged(_project: Path) -> None:
    """Do not change the project; only the command is wrong."""


def combine_edits(*edits: Edit) -> Edit:
    """Return an edit that makes several edits in their order."""

    def edit(project: Path) -> None:
        for single_edit in edits:
            single_edit(project)

    return edit


def write_file(file: str, content: bytes) -> Edit:
    """Replace the content of a file."""

    def edit(project: Path) -> None:
        path = project / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return edit


def rewrite_file(file: str, change: Callable[[bytes], bytes]) -> Edit:
    """Replace the content of a file by the result of `change`."""
    return lambda project: (project / file).write_bytes(change((project / file).read_bytes()))


def replace_text(file: str, old: str, new: str) -> Edit:
    """Replace a text that must be in a file."""

    def change(content: bytes) -> bytes:
        text = content.decode()
        assert old in text, f"{file} has no {old!r}"
        return text.replace(old, new, 1).encode("utf-8", "surrogatepass")

    return rewrite_file(file, change)


def write_line(file: str, number: int, line: bytes) -> Edit:
    """Replace a line, counted from 1."""

    def change(content: bytes) -> bytes:
        lines = content.splitlines()
        lines[number - 1] = line
        return b"\n".join([*lines, b""])

    return rewrite_file(file, change)


def edit_row(file: str, number: int, path: list[Any], value: object) -> Edit:
    """Set the value at a path of keys and indices in the row of a line, counted from 1; `MISSING` removes it."""

    def edit(project: Path) -> object:
        row = orjson.loads((project / file).read_bytes().splitlines()[number - 1])
        return write_line(file, number, orjson.dumps(set_json_value(row, path, value)))(project)

    return edit


def edit_json(file: str, path: list[Any], value: object) -> Edit:
    """Set a value in a JSON document, as `edit_row` does."""
    return rewrite_file(file, lambda content: orjson.dumps(set_json_value(orjson.loads(content), path, value)))


def set_json_value(row: Any, path: list[Any], value: object) -> Row:  # noqa: ANN401 (any JSON value)
    """Return `row` with another value at a path of keys and indices; `MISSING` removes the key."""
    parent = row
    for key in path[:-1]:
        parent = parent[key]
    if value is MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return row


def _make_folder(path: Path) -> None:
    path.mkdir()
    (path / "file").write_text("x")


def _make_link_loop(path: Path) -> None:
    (path.parent / "loop").symlink_to(path.name)
    path.symlink_to("loop")


NOT_A_FILE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": _make_folder,
    "a loop of links": _make_link_loop,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a file that nobody may read": lambda path: (path.write_text("x"), path.chmod(0)),
}


def list_not_a_file(file: str, command: tuple[str, ...]) -> Iterator[Case]:
    """Yield cases in which something else than a file is at its path; the message must name the path."""
    for what, make in NOT_A_FILE.items():

        def edit(project: Path, make: Callable[[Path], object] = make) -> None:
            remove_path(project / file)
            make(project / file)

        yield Case(file, what, edit, command, file)


# Damages of a text file by other programs and accidents. True: the file is still accepted.
BYTES: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "empty": (lambda content: b"", False),
    "only blank lines": (lambda content: b"\n \n\t\n", False),
    "a byte order mark": (lambda content: b"\xef\xbb\xbf" + content, True),
    "line ends of Windows": (lambda content: content.replace(b"\n", b"\r\n"), True),
    "UTF-16": (lambda content: content.decode().encode("utf-16"), False),
    "Latin-1": (lambda content: b"caf\xe9: \xfc\n" + content, False),
    "NUL bytes": (lambda content: b"\0" * 64 + content[64:], False),
    "zeros at the end, as after a power cut": (lambda content: content + b"\0" * 4096, False),
    "a gzip file under a plain name": (lambda content: b"\x1f\x8b\x08\0" + content, False),
    "a workbook under another name": (lambda content: b"PK\x03\x04" + content, False),
    "marks of a merge conflict": (
        lambda content: b"<<<<<<< HEAD\n" + content + b"=======\n" + content + b">>>>>>> theirs\n",
        False,
    ),
}


def list_bad_bytes(file: str, command: tuple[str, ...], *, read: tuple[str, ...] = ()) -> Iterator[Case]:
    """Yield the damages in `BYTES`; those named in `read` are accepted in this file, too."""
    for what, (change, always_accepted) in BYTES.items():
        accepted = always_accepted or what in read
        yield Case(file, what, rewrite_file(file, change), command, "" if accepted else file, accepted)
