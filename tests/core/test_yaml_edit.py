"""Values in a YAML file change, and all else stays letter by letter."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.core.files import InputError
from alloy.core.yaml_edit import Place, replace_values

PATH = Path("params.yaml")
TEXT = """\
# Ünlike a dump, an edit keeps this.
first: null   # and this

mix:
    one: 'quoted'   # a comment in its column
    two:            # above a block
        a: 1
        b: [1,
            2]
    # of three
    three: {x: 1}  # with a brace }
    four: |
        text
last:   ~
"""
VALUES = [0.25, 12345678901, True, None, "a: b # c", "Zürich", {}, {"x y": 1, "é: ": {"z": [1, "2"]}, "on": None}, [1]]


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("key", ["one", "two", "three", "four"])
def test_the_value_is_changed_and_no_other_line(key: str, value: Any) -> None:
    edited = replace_values(TEXT, PATH, "mix", {key: value})
    wanted = yaml.safe_load(TEXT)
    wanted["mix"][key] = value
    assert yaml.safe_load(edited) == wanted
    span = {"one": (4, 5), "two": (5, 9), "three": (10, 11), "four": (11, 13)}[key]
    old = TEXT.splitlines()
    before, behind = old[: span[0]], old[span[1] :]
    new = edited.splitlines()
    assert new[: len(before)] == before
    assert new[len(new) - len(behind) :] == behind


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_that_was_set_once_can_be_set_again(value: Any) -> None:
    once = replace_values(TEXT, PATH, "mix", {"one": value, "two": value, "three": value})
    assert replace_values(once, PATH, "mix", {"one": value, "two": value, "three": value}) == once
    back = replace_values(once, PATH, "mix", {"one": 0, "two": 0, "three": 0})
    assert yaml.safe_load(back)["mix"] == {"one": 0, "two": 0, "three": 0, "four": "text\n"}


@pytest.mark.parametrize(("key", "comment"), [("one", "# a comment in"), ("two", "# above"), ("three", "# with")])
def test_a_comment_beside_the_key_stays(key: str, comment: str) -> None:
    for value in (0.5, {"x": 1}, {}):
        assert comment in replace_values(TEXT, PATH, "mix", {key: value})


def test_a_comment_keeps_its_column_where_there_is_room() -> None:
    for value in (1, "shorter", 0.123456, {"x": 1}):
        line = replace_values(TEXT, PATH, "mix", {"one": value}).splitlines()[4]
        assert line.index("#") == TEXT.splitlines()[4].index("#")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\n", "params.yaml:1: : there is no `mix`; add it"),
        ("mix: 1\n", "params.yaml:1: mix: write `key: value` lines below it"),
        ("mix:\n  b: 1\n", "params.yaml:2: mix: there is no `a`; add it"),
        ("- 1\n", "params.yaml: write `key: value` lines"),
        ("", "params.yaml: write `key: value` lines"),
        ("mix: {\n", "params.yaml:2: not valid YAML: expected the node content"),
        ("a: \x01\n", "params.yaml: not valid YAML: "),
    ],
)
def test_what_cannot_be_edited_is_one_line(text: str, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        replace_values(text, PATH, "mix", {"a": 1})
    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)


def test_a_place_knows_its_line_and_its_key() -> None:
    place = Place.of(TEXT, PATH).need("mix").need("two").need("b")
    assert str(place) == "params.yaml:8: mix.two.b"
    assert place.text() == "a list"
    assert place.get("x") is None
