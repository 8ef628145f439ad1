"""The words of a text, in any script."""

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
