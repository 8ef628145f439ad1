"""Text that looks the same compares as equal; text is split into words in any script."""

import random
import unicodedata
from collections.abc import Callable

import pytest

from alloy.core.text import fold_text, normalize_text, split_words

EQUAL_TEXTS = {
    "combining accents": ("Cafe\u0301", "Caf\u00e9"),
    "decomposed Korean syllables": ("\u1112\u1161\u11ab", "\ud55c"),
    "spaces of all kinds": ("\u00a0a \u2003\t b\u3000c\r\n\u2028d\u0085", "a b c d"),
    "blank letters": ("\u3164a\u2800b\uffa0", "a b"),
    "a soft hyphen": ("Zu\u00adstellung", "Zustellung"),
    "zero-width spaces": ("\ufeffa\u200bb\u2060c\u180e"[:-1], "abc"),
    "direction marks": ("\u202ea\u200eb\u2066c\u2069\u061c", "abc"),
    "control characters": ("a\x00b\x1bc\x7fd\x9f", "abcd"),
    "joiners between Latin letters": ("a\u200db\u200c \u200dc", "ab c"),
    "an accent after an invisible character": ("Cafe\u200b\u0301", "Caf\u00e9"),
    "an emoji shown as text or as emoji": ("\u2764\ufe0f", "\u2764"),
    "tag characters": ("a\U000e0041\U000e0042", "a"),
    "tags after a flag that are not those of a region": ("\U0001f3f4\U000e0041\U000e007f", "\U0001f3f4"),
    "a variant of a Chinese character": ("\u845b\U000e0100\u845b\ufe00", "\u845b\u845b"),
    "Mongolian selectors between Latin letters": ("a\u180bb\u180e", "ab"),
    "a space in the middle of a joiner's context": ("\u0645\u06cc\u200b\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    "an accent after a joiner": ("e\u200d\u0301", "\u00e9"),
    "a joiner twice in an emoji": ("\U0001f468\u200d\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    "a Persian non-joiner at the end of a word": ("\u0645\u06cc\u200c \u0645", "\u0645\u06cc \u0645"),
    "a Persian non-joiner where letters do not join": (
        "\u06a9\u0627\u0631\u200c\u0647\u0627",
        "\u06a9\u0627\u0631\u0647\u0627",
    ),
    "a non-joiner twice": ("\u0645\u06cc\u200c\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
    "only invisible characters": (" \u200b\ufeff\u3164", ""),
}
DIFFERENT_TEXTS = {  # they look different, but are equal in the search for copies
    "case": ("IT", "it"),
    "a superscript": ("m\u00b2", "m2"),
    "full-width letters": ("\uff2f\uff2b", "OK"),
    "a ligature": ("\ufb01ne", "fine"),
    "an HTML entity": ("R&amp;D", "R&D"),
    "a Persian non-joiner": ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
    "a joiner of Indian scripts": ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u0937"),
    "a joiner that shows a letter's first form": ("\u0647\u200d.", "\u0647."),
    "a Mongolian vowel separator": ("\u1828\u180e\u1820", "\u1828\u1820"),
    "a family and its members": ("\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"),
}


@pytest.mark.parametrize(("text", "expected"), EQUAL_TEXTS.values(), ids=EQUAL_TEXTS)
def test_text_that_looks_the_same_compares_as_equal(text: str, expected: str) -> None:
    assert normalize_text(text) == expected
    assert normalize_text(expected) == expected
    assert fold_text(text) == fold_text(expected)


@pytest.mark.parametrize(("first", "second"), DIFFERENT_TEXTS.values(), ids=DIFFERENT_TEXTS)
def test_text_that_looks_different_stays_different_when_normalized(first: str, second: str) -> None:
    assert (normalize_text(first), normalize_text(second)) == (first, second)
    assert fold_text(first) == fold_text(second)


SEQUENCES = [
    "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\U0001f3f3\u200d\U0001f308",
    "\u0ab6\u0acd\u200d\u0ab5",
    "e\u0325\u0323",
]


@pytest.mark.parametrize("text", SEQUENCES)
def test_sequences_of_several_characters_are_not_changed(text: str) -> None:
    assert normalize_text(f" {text} ") == unicodedata.normalize("NFC", text)


FOLDED_TEXTS = {
    "entities": ("It&#39;s &lt;b&gt; &#x41;&nbsp;&eacute;", "it's <b> a \u00e9"),
    "entities that were escaped twice": ("R&amp;amp;D &amp;quot;", 'r&d "'),
    "not an entity": ("AT&T R&D; &copyright", "at&t r&d; &copyright"),
    "an invisible entity": ("a&shy;b&#8203;c", "abc"),
    "case in all scripts": ("STRASSE \u0391\u03a3", "strasse \u03b1\u03c3"),
}


@pytest.mark.parametrize(("text", "expected"), FOLDED_TEXTS.values(), ids=FOLDED_TEXTS)
def test_copies_are_equal_when_folded(text: str, expected: str) -> None:
    assert fold_text(text) == expected


def test_normalization_is_idempotent() -> None:
    letters = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    text = "".join(f"{letter}a\u200d{letter} " for letter in letters)
    normalized = normalize_text(text)
    assert normalize_text(normalized) == normalized


# Unicode's Default_Ignorable_Code_Point, and interlinear annotations, without the blanks U+3164 and U+FFA0.
IGNORABLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0xFEFF),
    *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)),
    *(*range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFFC), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)),
    *range(0xE0000, 0xE1000),
]
INVISIBLE = "\u200b\xad\u2060\ufeff\ufe0f\u115f\U000e0100"


def test_ignorable_and_control_characters_in_a_word_do_not_count() -> None:
    controls = [code for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and not chr(code).isspace()]
    words = {chr(code): split_words(f"ab{chr(code)}cd") for code in [*IGNORABLE, *controls]}
    assert {letter: found for letter, found in words.items() if found != ["abcd"]} == {}
    assert {code for code in IGNORABLE if normalize_text(f"ab{chr(code)}cd") != "abcd"} == set()


ALPHABET = [  # of random texts: letters, marks and emoji of scripts with joiners, and invisible characters
    *"aé\u0301\u0345\u0323 \n\u3164\u3000\x01&",
    *"\u0627\u0645\u064a\u0655\u06cc\u0915\u094d\u1820\u1828\u180b\u180e\u1100\u1161\u11a8\u115f\uac00",
    *"\U0001f468\U0001f469\u2764\ufe0f\U0001f3f4\U000e0067\U000e007f\u200b\u200c\u200d\xad\u034f\ufb01\u0130\uff8a\uff9e",
]


def make_random_text(rng: random.Random) -> str:
    return "".join(rng.choices(ALPHABET, k=rng.randint(1, 8)))


@pytest.mark.parametrize("normalize", [normalize_text, fold_text])
def test_random_texts_are_normal_after_one_pass(normalize: Callable[[str], str]) -> None:
    rng = random.Random(0)
    texts = [normalize(make_random_text(rng)) for _ in range(30_000)]
    assert [ascii(text) for text in texts if normalize(text) != text] == []


def test_an_invisible_character_never_changes_the_result() -> None:
    rng = random.Random(1)
    changed = []
    for _ in range(30_000):
        text = make_random_text(rng)
        place = rng.randint(0, len(text))
        copy = f"{text[:place]}{rng.choice(INVISIBLE)}{text[place:]}"
        if normalize_text(copy) != normalize_text(text):
            changed.append((ascii(text), ascii(copy)))
    assert changed == []


SPLIT_TEXTS = {
    "case and marks do not count": ("The lock, the LOCK!", ["the", "lock", "the", "lock"]),
    "an apostrophe and a dash separate words": ("don't re-pair", ["don", "t", "re", "pair"]),
    "digits are words": ("2.5 of 10", ["2", "5", "of", "10"]),
    "letters of other languages": ("Größe: ¡señal!", ["grösse", "señal"]),
    "a letter and its combining accent are one letter": ("sen\u0303al", ["señal"]),
    "each Chinese character is a word": ("価格、安い。", ["価", "格", "安", "い"]),
    "a symbol is a word": ("good 👍👍 + 5 €", ["good", "👍", "👍", "+", "5", "€"]),
    "punctuation of other scripts is ignored": ("«So» · “so”…", ["so", "so"]),
    "an underscore is punctuation": ("__a_b__", ["a", "b"]),
    "entities, full-width letters and invisible characters": (
        "R&amp;D \uff2f\uff2b so\u00adft",
        ["r", "d", "ok", "soft"],
    ),
    "only spaces": (" \n", []),
}


@pytest.mark.parametrize(("text", "expected"), SPLIT_TEXTS.values(), ids=SPLIT_TEXTS)
def test_text_is_split_into_words(text, expected):
    assert split_words(text) == expected


@pytest.mark.parametrize(
    "text", ["The lock: a_b, $5 [#1] {x} a+b=c <d> \\ ~ ` ^ | % & @ * ; ' \" !?", "cap\x7fital \x01\x1ba\x1cb\x00\n"]
)
def test_the_ascii_fast_path_gives_the_same_words(text):
    assert split_words(f"{text} é") == [*split_words(text), "é"]
