"""Objects are read from JSON Lines and from an array, compressed or not, each with its location."""

import gzip
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.formats.json_objects import is_json, read_objects


@pytest.mark.parametrize(
    ("name", "text", "locations"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [":1", ":3"]),
        ("a.json", '\n[{"a": 1},\n {"a": 2}]\n', ["[1]", "[2]"]),
        ("a.json", '[\n{"a": 1}, {"a": 2}]', ["[1]", "[2]"]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_each_object_comes_with_its_location(
    tmp_path: Path, name: str, text: str, locations: list[str], compressed: bool
) -> None:
    path = tmp_path / f"{name}{'.gz' * compressed}"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    assert is_json(path.name)
    assert list(read_objects(path)) == [(f"{path}{locations[0]}", {"a": 1}), (f"{path}{locations[1]}", {"a": 2})]


@pytest.mark.parametrize(
    ("text", "location"), [("[{}, 3]", "[2]: "), ("[{}", ":1: "), ('{"a"\n', ":1: "), ("3\n", ":1: "), ("", ": ")]
)
def test_a_value_that_is_not_an_object_is_an_error_with_its_location(tmp_path: Path, text: str, location: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        list(read_objects(path))
    assert str(error.value).startswith(f"{path}{location}")
