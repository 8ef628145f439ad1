"""Ordinary YAML is read, and YAML with a huge number of values is an error at once."""

import time
from datetime import date

import pytest
import yaml

from alloy.core.files import InputError
from alloy.core.settings import read_mapping
from alloy.core.yaml_text import check_yaml, load_yaml, read_yaml


def make_nested_aliases(levels: int, start: str = "[x, x, x]", form: str = "list") -> str:
    lines = [f"a0: &a0 {start}"]
    for n in range(1, levels):
        if form == "list":
            lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
        elif form == "mapping":
            lines.append(f"a{n}: &a{n} {{{', '.join(f'k{key}: *a{n - 1}' for key in range(9))}}}")
        else:
            lines.append(f"a{n}: &a{n}\n" + "\n".join(f"  k{key}:\n    <<: *a{n - 1}" for key in range(9)))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        make_nested_aliases(12),
        make_nested_aliases(30),
        make_nested_aliases(12, form="mapping"),
        make_nested_aliases(12, start="{x: 1}", form="merge"),
        make_nested_aliases(4, start=f'["{"x" * 10_000}"]', form="list") + "b: [*a3, *a3, *a3]\n",
        "a: &a [*a]\n",
        "a: &a {b: [*a]}\n",
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000,
    ],
    ids=[
        "lists",
        "lists of 30 levels",
        "mappings",
        "merge keys",
        "long texts",
        "a list that contains itself",
        "a mapping that contains itself",
        "nested lists",
        "nested mappings",
        "nested dashes",
    ],
)
def test_a_file_with_too_many_values_is_an_error_at_once_with_its_line(text):
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_yaml(text, "params.yaml")
    assert str(caught.value).startswith("params.yaml:")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 10


BAD_VALUES = {
    "bool": "!!bool xyz",
    "int": "!!int abc",
    "empty int": "!!int ''",
    "float": "!!float x",
    "empty float": "!!float ''",
    "date": "!!timestamp abc",
    "mapping": "!!map [x]",
    "mapping of text": "!!map x",
    "list": "!!seq {x: 1}",
    "set": "!!set [x]",
    "hexadecimal": "0x_",
    "binary": "0b_",
    "digits": "9" * 5000,
    "negative": "-" + "9" * 5000,
    "tagged digits": f"!!int '{'9' * 5000}'",
    "hexadecimal digits": "0x" + "f" * 100_000,
    "base 60": ":".join(["59"] * 200_000),
    "base 60 float": ":".join(["59"] * 500) + ".5",
    "character": r'"\UFFFFFFFF"',
    "surrogate": r'"\ud800"',
}


@pytest.mark.parametrize("load", [load_yaml, None], ids=["yaml", "params"])
@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_value_is_an_error_of_one_line_with_file_and_line(tmp_path, value, load):
    file, text = tmp_path / "params.yaml", f"a: 1\nb: {value}\n"
    file.write_text(text)
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        _ = load(text, file) if load else read_mapping(file)
    assert str(caught.value).startswith(f"{file}:2: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "text", ["1", "-1_000", "0x1F", "1:30", "1:30.5", "1e3", "!!int '5'", "yes", "!!str 5", "!!set {x}"]
)
def test_ordinary_values_are_read(text):
    assert load_yaml(f"a: {text}\n", "x.yaml") == yaml.safe_load(f"a: {text}\n")


def test_ordinary_aliases_are_read():
    text = "base: &base {lr: 1.0, steps: [1, 2]}\nsmall:\n  <<: *base\n  steps: *base\nday: 2024-01-02\n"
    check_yaml(text, "x.yaml")
    assert load_yaml(text, "x.yaml") == {
        "base": {"lr": 1.0, "steps": [1, 2]},
        "small": {"lr": 1.0, "steps": {"lr": 1.0, "steps": [1, 2]}},
        "day": date(2024, 1, 2),
    }


def test_a_large_file_without_aliases_is_read():
    assert len(load_yaml("".join(f"k{n}: {n}\n" for n in range(120_000)), "x.yaml")) == 120_000


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!mine x"])
def test_tags_do_not_create_objects(tag):
    with pytest.raises(InputError, match=r"^x\.yaml:1: "):
        load_yaml(f"a: {tag}\n", "x.yaml")


def test_a_file_that_is_not_yaml_is_an_error_with_its_location(tmp_path):
    file = tmp_path / "x.yaml"
    for content, location in (
        (b"a: 1\nb: [\n", f"{file}:3: "),
        (b"a: 1\nb: 2024-13-45\n", f"{file}:2: "),
        (b"\xff\xfe\xff", ""),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_yaml(file)
        assert str(caught.value).startswith(location or f"{file}")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"/none\.yaml: "):
        read_yaml(tmp_path / "none.yaml")
