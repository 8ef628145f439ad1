"""Damage to sealed folders and lines is found."""

import pytest

from alloy.runtime.durable import SEAL, discard_damaged, find_damage, is_sealed, read_line, seal_folder, seal_line


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work/inner").mkdir(parents=True)
    (tmp_path / "work/weights").write_bytes(bytes(range(256)))
    (tmp_path / "work/inner/state.json").write_text("{}")
    return tmp_path / "work"


def test_a_sealed_folder_is_intact_until_it_changes(folder):
    assert not is_sealed(folder)
    seal_folder(folder)
    assert is_sealed(folder)
    assert find_damage(folder) is None
    assert not discard_damaged("train", folder)


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (lambda folder: (folder / "weights").write_bytes(bytes(256)), "weights"),
        (lambda folder: (folder / "weights").write_bytes(b""), "weights"),
        (lambda folder: (folder / "inner/state.json").unlink(), "inner/state.json"),
        (lambda folder: (folder / "more").write_text(""), "more"),
        (lambda folder: (folder / SEAL).write_text("{"), SEAL),
        (lambda folder: (folder / SEAL).write_text(""), SEAL),
        (lambda folder: (folder / SEAL).write_text("[]"), SEAL),
    ],
)
def test_a_damaged_folder_names_the_file_and_is_removed(folder, change, file, capsys):
    seal_folder(folder)
    change(folder)
    assert find_damage(folder) == file
    assert discard_damaged("train", folder)
    assert not folder.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train: {folder / file}: ")


@pytest.mark.parametrize("content", [b"", b"{}", "naïve ".encode(), b"a b  c"])
def test_the_content_of_a_sealed_line_is_read_back(content):
    assert read_line(seal_line(content)) == content


@pytest.mark.parametrize(
    "change", [lambda line: line[:-2], lambda line: line.replace(b"1", b"2"), lambda _: b"", lambda _: b"\n"]
)
def test_a_damaged_line_is_read_as_none(change):
    assert read_line(change(seal_line(b'{"id": 1}'))) is None
