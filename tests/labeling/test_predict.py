"""The counts of an answer."""

import pytest

from alloy.labeling.predict import is_quoted


@pytest.mark.parametrize(
    ("content", "comment", "quoted"),
    [
        ("the lock", "Oh, the lock jams.", True),
        ("caf\u00e9 au lait", "My cafe\u0301  au\u00a0lait!", True),
        ("cafe\u0301", "My caf\u00e9!", True),
        ("The lock", "Oh, the lock jams.", False),
        ("", "Oh.", False),
        (None, "Oh.", False),
    ],
)
def test_a_quote_is_found_in_any_unicode_encoding(content: str | None, comment: str, quoted: bool) -> None:
    assert is_quoted(content, comment) is quoted
