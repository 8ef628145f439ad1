"""Words are told apart in any script."""

import pytest

from alloy.core.text import words

CASES = {
    "case and marks do not count": ("The lock, the LOCK!", ["the", "lock", "the", "lock"]),
    "an apostrophe and a dash part words": ("don't re-pair", ["don", "t", "re", "pair"]),
    "figures are words": ("2.5 of 10", ["2", "5", "of", "10"]),
    "letters of other languages": ("Größe: ¡señal!", ["grösse", "señal"]),
    "a letter and its accent are one": ("sen\u0303al", ["señal"]),
    "each Chinese character is a word": ("価格、安い。", ["価", "格", "安", "い"]),
    "a sign is a word": ("good 👍👍 + 5 €", ["good", "👍", "👍", "+", "5", "€"]),
    "marks of other scripts are none": ("«So» · “so”…", ["so", "so"]),
    "an underscore is a mark": ("__a_b__", ["a", "b"]),
    "nothing": (" \n", []),
}


@pytest.mark.parametrize(("text", "wanted"), CASES.values(), ids=CASES)
def test_words_of(text, wanted):
    assert words(text) == wanted


@pytest.mark.parametrize("text", ["The lock: a_b, $5 [#1] {x} a+b=c <d> \\ ~ ` ^ | % & @ * ; ' \" !?"])
def test_a_letter_beyond_ascii_elsewhere_changes_nothing(text):
    assert words(f"{text} é") == [*words(text), "é"]
