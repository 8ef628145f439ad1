"""Rows are written and read back; an error names its line, and no reader ever sees a partial file."""

import errno
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alloy.core.files import (
    InputError,
    Row,
    check_lines,
    decode_line,
    decode_lines,
    decode_text,
    number_lines,
    read_json,
    read_jsonl,
    read_lines,
    write_atomically,
    write_json,
    write_jsonl,
    write_lines,
)


def write_file(folder: Path, content: bytes, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_jsonl(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_rows_are_read_back_unchanged_in_any_script(tmp_path: Path) -> None:
    rows = [
        {"text": "Schloß, ¿qué tal?, 鍵, مفتاح, 🔑"},
        {"text": "two\nlines, a\u2028separator and \x85 next", "parts": [1, 2.5, None, {"a": True}]},
        {},
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows


def test_text_is_written_in_utf_8_and_not_escaped(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "鍵"}])
    assert (tmp_path / "rows.jsonl").read_bytes() == '{"text":"鍵"}\n'.encode()


def test_missing_folders_are_created(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b" / "c.json", [1])
    assert read_json(tmp_path / "a" / "b" / "c.json") == [1]


def test_a_json_document_is_indented_and_ends_in_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"f1": 0.5})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "f1": 0.5\n}\n'


def test_a_compressed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    path = write_file(tmp_path, gzip.compress(b'{"a": 1}\n{"a": 2}\n'), "rows.jsonl.gz")
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


def test_line_numbers_start_at_one_and_include_blank_lines(tmp_path: Path) -> None:
    path = write_file(tmp_path, b'\n{"a": 1}\r\n  \n{"a": 2}')
    assert list(decode_lines(path)) == [(2, {"a": 1}), (4, {"a": 2})]


INVALID_LINES = {  # a line, and a part of its error
    "an incomplete object": (b'{"a": ', "JSON"),
    "a trailing comma": (b'{"a": 1,}', "column 8"),
    "NaN": (b'{"a": NaN}', "JSON"),
    "two objects": (b'{"a": 1}{"a": 2}', "column 9"),
    "Latin-1": (b'{"a": "caf\xe9"}', "byte 11 "),
    "a lone surrogate": (b'{"a": "\\ud83d"}', "JSON"),
    "a list": (b"[1]", "an array"),
    "a string": (b'"a"', "a string"),
    "null": (b"null", "null"),
}


@pytest.mark.parametrize(("line", "expected"), INVALID_LINES.values(), ids=INVALID_LINES)
def test_an_invalid_line_is_an_error_with_its_location(tmp_path: Path, line: bytes, expected: str) -> None:
    path = write_file(tmp_path, b'{"good": 1}\n\n' + line + b"\n")
    error = read_error(path)
    assert error.startswith("rows.jsonl:3: ")
    assert expected in error


def test_the_rows_around_an_invalid_line_are_still_read(tmp_path: Path) -> None:
    (_, first), (number, error), (_, last) = decode_lines(write_file(tmp_path, b'{"a": 1}\n{\n{"a": 3}\n'))
    assert (first, last, number) == ({"a": 1}, {"a": 3}, 2)
    assert isinstance(error, InputError)


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n\n"])
def test_an_empty_file_says_what_to_write(tmp_path: Path, content: bytes) -> None:
    error = read_error(write_file(tmp_path, content))
    assert error.startswith("rows.jsonl: ")
    assert "empty" in error
    assert "JSON" in error


def test_a_missing_file_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_error(tmp_path / "rows.jsonl").startswith("rows.jsonl: ")
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages: {split: {cmd: x, outs: [data/split]}}")
    for read in (read_json, read_jsonl):
        with pytest.raises(InputError, match=r"^data/split/task\.json: .*`dvc repro split`"):
            read("data/split/task.json")
        with pytest.raises(InputError, match=r"^data/mine/rows\.jsonl: .* `data` in params\.yaml"):
            read("data/mine/rows.jsonl")


def make_link_loop(path: Path) -> None:
    path.with_name("loop").symlink_to(path)
    path.symlink_to(path.with_name("loop"))


NOT_REGULAR_FILES = {
    "a folder": (Path.mkdir, "folder"),
    "a pipe": (os.mkfifo, "pipe"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "link"),
    "a link loop": (make_link_loop, os.strerror(errno.ELOOP)),
}


@pytest.mark.parametrize(("make", "expected"), NOT_REGULAR_FILES.values(), ids=NOT_REGULAR_FILES)
def test_a_path_that_is_not_a_regular_file_is_an_error(
    tmp_path: Path, make: Callable[[Path], object], expected: str
) -> None:
    make(path := tmp_path / "rows.jsonl")
    error = read_error(path)
    assert error.startswith("rows.jsonl: ")
    assert expected in error


OTHER_FORMATS = {
    "a JSON array": (b'[\n  {"a": 1}\n]\n', "a JSON array"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16"),
    "a workbook": (b"PK\x03\x04 and more", "a workbook"),
    "a gzip file": (gzip.compress(b"{}"), "gzip"),
}


@pytest.mark.parametrize(("content", "expected"), OTHER_FORMATS.values(), ids=OTHER_FORMATS)
def test_a_file_of_another_format_is_one_error_and_not_one_per_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    message = read_error(write_file(tmp_path, content))
    assert message.startswith("rows.jsonl:1: ")
    assert expected in message
    assert "\n" not in message


def require_even(number: int, row: Row) -> int:
    if row["a"] % 2:
        raise ValueError(f"`a` is {row['a']}; write an even number")
    return number


def test_all_invalid_rows_are_raised_at_once_in_at_most_ten_lines(tmp_path: Path) -> None:
    rows = [b'{"a": 1}', b"{", b'{"a": 2}', b'{"a": 3}']
    with pytest.raises(InputError) as caught:
        check_lines(write_file(tmp_path, b"\n".join(rows)), require_even)
    locations = [line.removeprefix(f"{tmp_path}/").partition(": ")[0] for line in str(caught.value).splitlines()]
    assert locations == ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:4"]
    with pytest.raises(InputError) as caught:
        check_lines(write_file(tmp_path, b'{"a": 1}\n' * 30), require_even)
    assert len(lines := str(caught.value).splitlines()) == 10
    assert "21 more" in lines[-1]


def test_the_error_of_an_invalid_document_names_its_line(tmp_path: Path) -> None:
    path = write_file(tmp_path, b'{\n"a": 1,\n"b" 2}', "task.json")
    with pytest.raises(InputError, match=r"task\.json:3: "):
        read_json(path)


def test_a_truncated_archive_is_an_error_of_one_line(tmp_path: Path) -> None:
    content = gzip.compress(b'{"a": 1}\n' * 100)
    assert read_error(write_file(tmp_path, content[:-9], "rows.jsonl.gz")).startswith("rows.jsonl.gz: ")


def test_a_byte_order_mark_at_the_start_of_a_text_is_dropped(tmp_path: Path) -> None:
    lines = read_lines(write_file(tmp_path, b"\xef\xbb\xbfa\nb\n"))
    assert list(decode_text("rows.txt", lines)) == ["a\n", "b\n"]


def test_a_text_line_that_is_not_utf_8_is_named_in_the_error() -> None:
    with pytest.raises(InputError, match=r"^rows\.txt:2: byte 3 "):
        list(decode_text("rows.txt", [b"a\n", b"b \xff\n"]))


def test_blank_lines_and_the_byte_order_mark_are_skipped_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = write_file(tmp_path, b"\xef\xbb\xbfa \r\n \t\r\n\xef\xbb\xbfb\n\n\xff{")
    assert list(number_lines(path)) == [(1, b"a \r\n"), (3, b"\xef\xbb\xbfb\n"), (5, b"\xff{")]


def test_lines_are_numbered_lazily(tmp_path: Path) -> None:
    content = gzip.compress(b"first\n" * 10_000 + bytes(range(256)) * 400)
    lines = number_lines(write_file(tmp_path, content[:-200], "rows.jsonl.gz"))
    assert next(lines) == (1, b"first\n")
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz: "):
        list(lines)


def test_the_error_of_a_line_is_returned_and_not_raised() -> None:
    assert decode_line("rows.jsonl", 7, b'{"a": 1}\r\n') == {"a": 1}
    error = decode_line("rows.jsonl", 7, b"[1]")
    assert isinstance(error, InputError)
    assert str(error).startswith("rows.jsonl:7: ")
    assert "an array" in str(error)


def test_lines_are_written_unchanged_with_a_newline_after_each(tmp_path: Path) -> None:
    write_lines(tmp_path / "new" / "lines.txt", iter([b"a", b"", b" \xff\r"]))
    assert (tmp_path / "new" / "lines.txt").read_bytes() == b"a\n\n \xff\r\n"
    write_lines(tmp_path / "none.txt", [])
    assert (tmp_path / "none.txt").read_bytes() == b""


def test_a_byte_order_mark_before_the_first_row_is_dropped(tmp_path: Path) -> None:
    assert read_jsonl(write_file(tmp_path, b'\xef\xbb\xbf{"a": 1}\n')) == [{"a": 1}]


def fail_midway(part: Path) -> None:
    part.write_text("half a fi")
    raise OSError("no space left on device")


def test_a_writer_that_fails_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "new.txt", fail_midway)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_keeps_the_old_content(tmp_path: Path) -> None:
    path = write_file(tmp_path, b"old", "kept.txt")
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, fail_midway)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_rows_that_fail_midway_leave_no_files(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise ValueError("the second row cannot be made")

    with pytest.raises(ValueError, match="second row"):
        write_jsonl(tmp_path / "rows.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = write_file(tmp_path, b"old", "kept.txt")
    contents = []

    def write(part: Path) -> None:
        part.write_bytes(b"new")
        contents.append(path.read_bytes())

    write_atomically(path, write)
    assert (contents, path.read_bytes(), list(tmp_path.iterdir())) == ([b"old"], b"new", [path])
