"""The words of a text, in any script."""

import hashlib
import re
import unicodedata

# Scripts that put no space between words: Thai, Lao, Khmer, kana, Chinese characters. Each letter is a word there.
SPACELESS = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = re.escape("!\"#%&'()*,-./:;?@[\\]{}")
_WORD = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+|[^\w\s{_MARKS}]")


def words(text: str) -> list[str]:
    """Return the words of `text` in their order, without case and punctuation; a sign such as an emoji is a word."""
    if text.isascii():  # much the faster way
        return _WORD.findall(text.lower())
    found = _WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return [word for word in found if word.isalnum() or not unicodedata.category(word[0]).startswith("P")]


def normalised(text: str) -> str:
    """Return `text` in lower case, composed letters and single spaces: what two copies of one comment share."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def text_key(text: str) -> int:
    """Return the first eight bytes of the SHA-256 of `text` as a number: the same text has the same one everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def text_hash(text: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `text`: a prediction names its comment's text by it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unit_hash(text: str) -> float:
    """Map `text` evenly onto [0, 1) by its key."""
    return text_key(text) / 2**64
