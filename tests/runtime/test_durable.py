"""What is sealed is intact or seen not to be; durable rows likewise."""

import pytest

from alloy.runtime.durable import SEAL, damage, discard_damaged, is_sealed, read_rows, seal, write_rows


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work/inner").mkdir(parents=True)
    (tmp_path / "work/weights").write_bytes(bytes(range(256)))
    (tmp_path / "work/inner/state.json").write_text("{}")
    return tmp_path / "work"


def test_a_folder_is_sealed_once_and_intact_until_it_changes(folder):
    assert not is_sealed(folder)
    seal(folder)
    assert is_sealed(folder)
    assert damage(folder) is None
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
    seal(folder)
    change(folder)
    assert damage(folder) == file
    assert discard_damaged("train", folder)
    assert not folder.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train: {folder / file}: ")


def test_durable_rows_come_back_as_they_were(tmp_path):
    rows = [{"id": "1", "text": "naïve\n"}, {"id": 2}]
    for given in (rows, []):
        write_rows(tmp_path / "rows", given)
        assert read_rows(tmp_path / "rows") == given


@pytest.mark.parametrize(
    "change", [lambda content: content[:-1], lambda content: content.replace(b"1", b"2"), lambda _: b""]
)
def test_damaged_rows_are_none(tmp_path, change):
    write_rows(tmp_path / "rows", [{"id": "1"}])
    (tmp_path / "rows").write_bytes(change((tmp_path / "rows").read_bytes()))
    assert read_rows(tmp_path / "rows") is None


def test_rows_that_are_missing_are_none(tmp_path):
    assert read_rows(tmp_path / "rows") is None
