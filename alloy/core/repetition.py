"""Detect text that is stuck in a loop, as greedy answers of a model can be."""

import re

from alloy.core.text import split_words

MIN_PHRASE_WORDS = 2  # of a phrase that repeats
MIN_REPEATS = 3  # of a phrase, in a row
NGRAM_WORDS = 4
MAX_REPEATED_SHARE = 0.6  # of the n-grams; more is a loop
REPEATED_LETTERS = re.compile(
    r"(?=[^\W\d_]{20})([^\W\d_]{1,8}?)\1{9,}", re.IGNORECASE
)  # up to 8 letters, ten times or more, and 20 letters or more in all


def is_looping(text: str) -> bool:
    """Return whether `text` ends in a loop, repeats itself for most of its length, or repeats a few letters.

    1. It ends in a loop if its last words are a phrase of at least two words, at least three times in a row. Source:
       Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
    2. It repeats itself if more than `MAX_REPEATED_SHARE` of its 4-grams occur earlier in the text. This is seq-rep-4
       of Welleck et al., "Neural Text Generation with Unlikelihood Training", 2020.
    3. A loop within one word, such as "wowowowowowowowowowo", is found as letters that repeat ten times or more.

    The limits are Alloy's own, chosen so that texts written by people are not loops.
    """
    words = split_words(text)
    if find_final_loop(words) > 0 or compute_repeated_ngram_share(words) > MAX_REPEATED_SHARE:
        return True
    return REPEATED_LETTERS.search(text) is not None


def find_final_loop(words: list[str]) -> int:
    """Return the length of the shortest phrase that is repeated `MIN_REPEATS` times at the end; 0 if there is none.

    >>> find_final_loop("so I said so I said so I said".split())
    3
    """
    for length in range(MIN_PHRASE_WORDS, len(words) // MIN_REPEATS + 1):
        cycle = words[-length * MIN_REPEATS :]
        if cycle[length:] == cycle[:-length]:
            return length
    return 0


def compute_repeated_ngram_share(words: list[str], length: int = NGRAM_WORDS) -> float:
    """Return the share of n-grams of `length` words that occur earlier in the text; 0 if there are no n-grams."""
    ngrams = list(zip(*(words[start:] for start in range(length)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
