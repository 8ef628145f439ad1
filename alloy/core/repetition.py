"""Whether a text is stuck in a loop, as a model's greedy answers can be."""

import re

from alloy.core.text import words

PHRASE = 2  # words that repeat, at least
TIMES = 3  # how often, at least
GRAM = 4  # words
SHARE = 0.6  # of the n-grams
SYLLABLES = re.compile(
    r"(?=[^\W\d_]{20})([^\W\d_]{1,8}?)\1{9,}", re.IGNORECASE
)  # ten times or more, 20 letters or more


def loops(text: str) -> bool:
    """Say whether `text` ends in a loop, or goes round for most of its length.

    It ends in a loop where its last words are one phrase of two words or more, three times or more in a row, after
    the measure of Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration". It goes round where more than
    `SHARE` of its 4-grams have stood before: seq-rep-4 of Welleck et al. 2020, "Neural Text Generation with
    Unlikelihood Training". A loop within one word, such as "wowowowowowowowowowo", has no words to count: there a few
    letters repeat ten times or more. The limits are Alloy's own, chosen so that answers of people pass.
    """
    found = words(text)
    return loop_at_end(found) > 0 or repeated_share(found) > SHARE or SYLLABLES.search(text) is not None


def loop_at_end(found: list[str]) -> int:
    """Return how many words the phrase has that stands at the end `TIMES` in a row, the shortest; 0: none."""
    for length in range(PHRASE, len(found) // TIMES + 1):
        cycle = found[-length * TIMES :]
        if cycle[length:] == cycle[:-length]:
            return length
    return 0


def repeated_share(found: list[str], gram: int = GRAM) -> float:
    """Return the share of n-grams that have stood before in the same text; 0 where there is none."""
    grams = list(zip(*(found[place:] for place in range(gram)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
