"""Normalize text, so that texts that look the same compare as equal.

There are two functions for two purposes:

- `normalize_text` gives the spelling in which labels, emotions and answers are stored, learned and compared. It changes
  nothing that a reader can see.
- `fold_text` gives the key by which copies and leaks are found. It also ignores differences that other programs
  make in copies: case, HTML entities, full-width and other compatibility forms, and all joiners.

`normalize_text` does not apply compatibility forms (NFKC), since these merge text that looks different and may mean
something else: `m²` and `m2`, `①` and `1`.
"""

import hashlib
import html
import re
import unicodedata
from typing import TypeGuard

# Scripts that put no space between words: Thai, Lao, Khmer, kana, Chinese characters. Each letter is a word there.
SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = re.escape("!\"#%&'()*,-./:;?@[\\]{}")
_WORD = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+|[^\w\s{_MARKS}]")

# Characters that are invisible wherever they are: control characters, and those that are shown as nothing by programs
# without a glyph for them (Unicode's Default_Ignorable_Code_Point), except _JOINERS, _SELECTORS and _TAGS. Variation
# selectors are included: they choose a glyph of the same character (an emoji as text, a variant of a Chinese
# character), and many programs drop or add them when they copy a text.
_INVISIBLE_BELOW_10000 = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are not white space
    "\xad"  # soft hyphen
    "\u034f"  # combining grapheme joiner
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of writing direction
    "\u115f\u1160\u17b4\u17b5"  # fillers of Korean syllables, inherent vowels of Khmer
    "\u200b\u2060-\u2065\u206a-\u206f\ufeff"  # zero-width space, word joiner, invisible operators, byte order mark
    "\ufe00-\ufe0f"  # variation selectors
    "\ufff0-\ufffb"  # interlinear annotations
)
_INVISIBLE = (
    f"{_INVISIBLE_BELOW_10000}"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # controls of shorthand and of music
    "\U000e0000-\U000e001f\U000e0080-\U000e0fff"  # more variation selectors, and reserved characters
)
_BLANK = "\u2800\u3164\uffa0"  # letters that look like a space: empty Braille pattern, Hangul fillers
_JOINERS = "\u200c\u200d"  # zero-width non-joiner and joiner
_SELECTORS = "\u180b\u180c\u180d\u180e\u180f"  # variation selectors and vowel separator of Mongolian
_TAGS = "\U000e0020-\U000e007f"  # of the flags of regions
# Scripts whose letters a joiner changes: Arabic to N'Ko, the scripts of India, Tibet, Myanmar, Cambodia and Mongolia.
_JOINED = (
    "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua840-\ua8ff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff"
)
_NEVER_JOINED = (  # Arabic letters that do not join the next one, with a non-joiner or without
    "\u0622-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2"
    "\u06d3\u06d5"
)
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"  # joiners make one emoji of several: a family, a rainbow flag
# The flag of England and others: a black flag with tags.
_REGION_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
_DROPPED = re.compile(  # except flags, the first group
    "|".join(
        [
            f"({_REGION_FLAG})|[{_TAGS}]",
            rf"(?<![\u1820-\u18aa{_SELECTORS}])[{_SELECTORS}]+",  # not after a Mongolian letter
            rf"(?<![{_JOINED}{_EMOJI}{_JOINERS}])[{_JOINERS}]+",  # after a letter that it does not change
            rf"(?<=[{_NEVER_JOINED}{_EMOJI}])\u200c",
            rf"\u200c(?= |$)|([{_JOINERS}{_SELECTORS}])(?=\2)",  # at the end of a word, doubled
            rf"(?<=[{_EMOJI}])\u200d(?!\u200d*[{_EMOJI}])",
        ]
    )
)
# Finds all characters that are dropped or replaced, and some others. Each range beyond U+FFFF makes it slower.
_UNUSUAL = re.compile(
    f"[{_INVISIBLE_BELOW_10000}{_BLANK}{_JOINERS}{_SELECTORS}\U0001bca0-\U0001d17a\U000e0000-\U000e0fff]"
)
_ALWAYS_DROPPED = re.compile(f"[{_INVISIBLE}]+")
_SPACES = str.maketrans(dict.fromkeys(_BLANK, " "))
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED = 2  # how many times a text may be escaped: `&amp;quot;` is escaped twice


def normalize_text(text: str) -> str:
    r"""Return `text` in a normal form that is the same for all texts that look the same.

    1. Remove invisible characters: control characters, soft hyphens, zero-width spaces, direction marks, variation
       selectors.
    2. Compose letters and their accents (Unicode form NFC, which tokenizers such as Qwen's also apply).
    3. Replace white space of any kind and length, also line breaks, by one space; remove it at both ends.
    4. Remove joiners, Mongolian selectors and tags that change nothing. A zero-width joiner or non-joiner is kept after
       a letter whose shape it changes (Arabic, Persian, the scripts of India) and within an emoji, a selector after a
       Mongolian letter, and tags in the flag of a region. Repeat from step 2 until the text does not change, since what
       is removed may separate a letter from its accent.

    So the result is normal itself: `normalize_text(normalize_text(text)) == normalize_text(text)`.

    >>> normalize_text(" Cafe\u0301\u200b \n bar ")
    'Café bar'
    """
    if text.isascii():  # much faster
        spaced = " ".join(text.split())
        if spaced.isprintable():
            return spaced
    if not _UNUSUAL.search(text):
        return _compose(text)
    text = _compose(_ALWAYS_DROPPED.sub("", text.translate(_SPACES)))
    while (shorter := _compose(_DROPPED.sub(_keep_flag, text))) != text:
        text = shorter
    return text


def _compose(text: str) -> str:
    """Return `text` in the Unicode form NFC, and with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def has_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a string with visible characters."""
    return isinstance(value, str) and bool(normalize_text(value))


def _keep_flag(match: "re.Match[str]") -> str:
    return match[1] or ""


def lower_text(text: str) -> str:
    """Return `text` normalized and in lower case, for words that are learned or compared regardless of case."""
    return normalize_text(text).lower()


def unescape_html(text: str) -> str:
    """Return `text` with HTML entities (`&amp;`, `&#39;`) replaced; text that was escaped twice is unescaped twice.

    An entity must end in a semicolon: `AT&T` and `R&Divide` are not changed.
    """
    for _ in range(_ESCAPED):
        if "&" not in text:
            break
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    return text


def fold_text(text: str) -> str:
    r"""Return a key that is the same for copies of a text. It is for finding duplicates and leaks, not for display.

    1. Replace HTML entities by the characters that they stand for.
    2. Apply `normalize_text`.
    3. Replace compatibility forms, such as full-width letters and ligatures, by plain ones (Unicode form NFKC).
    4. Fold case, and remove all joiners and Mongolian selectors.

    >>> fold_text("It&#39;s  \uff2f\uff2b")
    "it's ok"
    """
    text = normalize_text(unescape_html(text))
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    for letter in _JOINERS + _SELECTORS:
        folded = folded.replace(letter, "")
    return _compose(folded)


def split_words(text: str) -> list[str]:
    """Return the words of `text` in order, in lower case and without punctuation. A symbol such as an emoji is a word.

    The text is folded first (`fold_text`). In scripts without spaces between words, each letter is a word.
    """
    if text.isascii() and "&" not in text and (text.isprintable() or not _ALWAYS_DROPPED.search(text)):  # much faster
        return _WORD.findall(text.lower())
    return [
        word
        for word in _WORD.findall(fold_text(text))
        if word.isalnum() or not unicodedata.category(word[0]).startswith("P")
    ]


def hash_to_uint64(text: str) -> int:
    """Return the first eight bytes of the SHA-256 hash of `text` as an integer. It is the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def hash_text(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 hash of `text`. Predictions refer to comments by it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_to_unit_interval(text: str) -> float:
    """Return a number in [0, 1) from the hash of `text`. Different texts have uniformly distributed numbers."""
    return hash_to_uint64(text) / 2**64
