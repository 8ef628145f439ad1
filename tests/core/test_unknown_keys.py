"""Each unknown key gives a warning with the most similar known key and the number of rows."""

from collections import Counter

import pytest

from alloy.core.unknown_keys import describe_unknown_keys, find_nearest_key, find_unknown_keys

KNOWN_KEYS = ("id", "text", "segments", "lang", "split")


def test_null_values_and_known_keys_are_not_unknown() -> None:
    assert find_unknown_keys({"id": "1", "text": "x", "rating": None}, frozenset(KNOWN_KEYS)) == []
    assert find_unknown_keys({"id": "1", "Split": "test", "rating": 0}, frozenset(KNOWN_KEYS)) == ["Split", "rating"]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("Split", "split"), ("segment", "segments"), ("la-ng", "lang"), ("TEXT ", "text"), ("rating", None)],
)
def test_the_nearest_key_is_found(key: str, nearest: str | None) -> None:
    assert find_nearest_key(key, KNOWN_KEYS) == nearest


def test_a_nested_key_is_compared_with_the_keys_of_its_object() -> None:
    known_keys = ("role", "messages", "messages.role", "messages.content")
    assert [find_nearest_key(key, known_keys) for key in ("messages.Role", "messages.train", "roles")] == [
        "messages.role",
        None,
        "role",
    ]


def test_each_unknown_key_has_a_line_with_its_number_of_rows() -> None:
    lines = describe_unknown_keys("c.jsonl", Counter({"rating": 1, "Split": 60}), KNOWN_KEYS)
    first, second = lines
    assert all(line.startswith("c.jsonl: ") for line in lines)
    assert all(part in first for part in ("`Split`", "60 rows", "`split`?")), first
    assert all(part in second for part in ("`rating`", "1 row ", "id, text, segments, lang, split")), second


def test_many_keys_are_counted() -> None:
    lines = describe_unknown_keys("c.jsonl", Counter({f"q{number}": 1 for number in range(25)}), KNOWN_KEYS)
    assert len(lines) == 11
    assert "15 more" in lines[-1]
