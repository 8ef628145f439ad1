"""Text that looks the same is the same: one rule for every place where Alloy compares text.

Two functions, for two purposes:

- `normalize_text` is the spelling in which labels, emotions and answers are kept, taught and compared. It changes
  nothing that a reader can see.
- `fold_text` is the key by which copies and leaks are found. It also ignores what a copy loses on its way through other
  programs: case, HTML entities, full-width and other compatibility forms, and all joiners.

Labels do not get the compatibility forms (NFKC) of `fold_text`, since these join what looks different and may mean
something different: `m²` and `m2`, `①` and `1`.
"""

import hashlib
import html
import re
import unicodedata

# Scripts that put no space between words: Thai, Lao, Khmer, kana, Chinese characters. Each letter is a word there.
SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = re.escape("!\"#%&'()*,-./:;?@[\\]{}")
_WORD = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+|[^\w\s{_MARKS}\x00-\x1f\x7f]")

# Drawn as nothing in every script. U+180B to U+180E are left out: they change the shape of Mongolian letters.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are not white space
    "\xad"  # soft hyphen
    "\u034f"  # combining grapheme joiner
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of writing direction
    "\u200b\u2060-\u2065\u206a-\u206f\ufeff"  # zero-width space, word joiner, invisible operators, byte order mark
    "\ufe0e\ufe0f"  # variation selectors: a sign as text, as emoji
    "\U000e0000-\U000e007f"  # tags
)
_BLANK = "\u2800\u3164\uffa0"  # letters that are drawn as a space: empty Braille pattern, Hangul fillers
_JOINERS = "\u200c\u200d"  # zero-width non-joiner and joiner
# Scripts whose letters a joiner changes: Arabic to N'Ko, the scripts of India, Tibet, Myanmar, Cambodia and Mongolia.
_JOINED = (
    "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua840-\ua8ff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff"
)
_NEVER_JOINED = (  # Arabic letters that do not join the next one, with a non-joiner or without
    "\u0622-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0673\u0675-\u0677\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2"
    "\u06d3\u06d5"
)
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"  # joiners make one sign of several: a family, a rainbow flag
_REGION_FLAG = "\U0001f3f4[\U000e0020-\U000e007f]+"  # the flag of England and others: a black flag with tags
_USELESS_JOINERS = "|".join(
    [
        rf"(?<![{_JOINED}{_EMOJI}{_JOINERS}\ufe0f])[{_JOINERS}]+",  # after a letter that it does not change
        rf"(?<=[{_NEVER_JOINED}])\u200c",
        r"\u200c(?=\s|$)|(?<=\u200c)\u200c|(?<=\u200d)\u200d",  # at the end of a word, doubled
        rf"(?<=[{_EMOJI}\ufe0f])\u200d(?![{_EMOJI}])",
    ]
)
_DROPPED = re.compile(rf"({_REGION_FLAG})|[{_INVISIBLE}]|{_USELESS_JOINERS}")
_UNUSUAL = re.compile(f"[{_INVISIBLE}{_BLANK}{_JOINERS}]")
_SPACES = str.maketrans(dict.fromkeys(_BLANK, " "))
_JOINERS_DROPPED = str.maketrans(dict.fromkeys(_JOINERS))
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED = 2  # times that a text may have been escaped: `&amp;quot;`


def normalize_text(text: str) -> str:
    r"""Return `text` in the one spelling that all texts share which look like it.

    1. Invisible characters are removed: control characters, soft hyphens, zero-width spaces and marks of direction,
       variation selectors of emoji, tags. A zero-width joiner or non-joiner stays after a letter of a script that it
       changes (Arabic and Persian, the scripts of India) and within an emoji, and is removed elsewhere.
    2. Letters and their accents are composed (Unicode's form NFC, which tokenizers such as Qwen's apply as well).
    3. White space of any kind and length, line breaks too, becomes one space; none is left at the ends.

    >>> normalize_text(" Cafe\u0301\u200b \n bar ")
    'Café bar'
    """
    if text.isascii():  # much the faster way
        spaced = " ".join(text.split())
        if spaced.isprintable():
            return spaced
    if _UNUSUAL.search(text):
        text = _DROPPED.sub(_kept, text.translate(_SPACES))
    return " ".join(unicodedata.normalize("NFC", text).split())


def _kept(found: "re.Match[str]") -> str:
    return found[1] or ""


def lower_text(text: str) -> str:
    """Return `text` normalized and in lower case: what words are learned from, and compared by, regardless of case."""
    return normalize_text(text).lower()


def unescape(text: str) -> str:
    """Return `text` without HTML entities (`&amp;`, `&#39;`); one that was escaped twice is unescaped twice.

    An entity must end in a semicolon: `AT&T` and `R&Divide` stay.
    """
    for _ in range(_ESCAPED):
        if "&" not in text:
            break
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    return text


def fold_text(text: str) -> str:
    r"""Return the key that copies of a text share: for the search of duplicates and leaks, never to be shown.

    1. HTML entities are replaced by what they stand for.
    2. As `normalize_text`.
    3. Compatibility forms become plain ones (Unicode's form NFKC): full-width letters, ligatures.
    4. Case is folded, and all joiners are removed.

    >>> fold_text("It&#39;s  \uff2f\uff2b")
    "it's ok"
    """
    text = normalize_text(unescape(text))
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    if "\u200c" in folded or "\u200d" in folded:
        folded = folded.translate(_JOINERS_DROPPED)
    return " ".join(unicodedata.normalize("NFC", folded).split())


def words(text: str) -> list[str]:
    """Return the words of `text` in their order, without case and punctuation; a sign such as an emoji is a word.

    Texts are compared by what `fold_text` makes of them.
    """
    if text.isascii() and "&" not in text:  # much the faster way
        return _WORD.findall(text.lower())
    return [
        word
        for word in _WORD.findall(fold_text(text))
        if word.isalnum() or not unicodedata.category(word[0]).startswith("P")
    ]


def text_key(text: str) -> int:
    """Return the first eight bytes of the SHA-256 of `text` as a number: the same text has the same one everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def text_hash(text: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `text`: a prediction names its comment's text by it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unit_hash(text: str) -> float:
    """Map `text` evenly onto [0, 1) by its key."""
    return text_key(text) / 2**64
