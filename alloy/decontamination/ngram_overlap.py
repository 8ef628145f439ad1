"""Find texts that overlap with a benchmark: they contain an n-gram of words of it, or a whole short question.

Case, punctuation and spaces do not count: texts are compared word by word (`split_words`, alloy/core/text.py).

Algorithm:

1. Build the index (`OverlapIndex.from_texts`): hash every n-gram of all benchmark texts, every question of at most two
   n-grams in length as a whole, and such a question without each of its words in turn.
2. Hash the n-grams of each text. A text that has an n-gram of the index overlaps.
3. Cut each text into units: the whole text, and each of its lines of `MIN_LINE_WORDS` words or more. Hash each short
   unit as a whole and without each of its words, and look these hashes up among those of the questions:

   | unit             | question         | what they have in common       |
   |------------------|------------------|--------------------------------|
   | whole            | whole            | the same words                 |
   | without one word | without one word | one word is replaced or moved  |
   | without one word | whole            | the unit has one more word     |
   | whole            | without one word | the unit lacks one word        |

Example: the question "what is the capital of France, and where is it" has ten words, too few for an n-gram of 13. The
text "What is the capital of Spain, and where is it?" is found, since both are equal without "France" and "Spain".

Sources: n-grams of 13 words as in Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C. Questions
with one word changed: the deletion index of symmetric spelling correction (W. Garbe, SymSpell, 2012), applied to words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

import numpy as np

from alloy.core.text import split_words

FACTOR = np.uint64(0x9E3779B97F4A7C15)  # any odd number, which has an inverse modulo 2**64
INVERSE = np.uint64(pow(int(FACTOR), -1, 2**64))
MIN_LINE_WORDS = 5  # shorter lines are not compared with questions; whole texts are, whatever their length
FILTER_BITS = 24  # leading bits of a hash; most hashes that are not in a table are excluded by them

Lines = list[list[str]]  # the words of each line of a text


@dataclass(frozen=True)
class Limits:
    """Words per n-gram, and the fewest words of a question that also matches with one word changed."""

    ngram_size: int
    fuzzy_match_min_words: int


@dataclass(frozen=True)
class Overlap:
    """What a text shares with a benchmark text: the `kind` of overlap, the index of the benchmark text, the words."""

    kind: str
    test: int
    shared: str


@dataclass(frozen=True)
class HashTable:
    """Hashes in ascending order, each with the index of the text that it belongs to.

    `is_prefix` (2**FILTER_BITS,) is a filter: whether any hash begins with these bits.
    """

    hashes: np.ndarray
    owners: np.ndarray
    is_prefix: np.ndarray

    @classmethod
    def from_hashes(cls, hashes: np.ndarray, owners: np.ndarray) -> "HashTable":
        """Build the table: sort the hashes. Of equal hashes, the first owner stays first."""
        order = np.argsort(hashes, kind="stable")
        is_prefix = np.zeros(2**FILTER_BITS, bool)
        is_prefix[hashes >> np.uint64(64 - FILTER_BITS)] = True
        return cls(hashes[order], owners[order], is_prefix)

    def find_matches(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the `hashes` that are in the table, and the owner of each."""
        likely = np.flatnonzero(self.is_prefix[hashes >> np.uint64(64 - FILTER_BITS)])
        index = np.searchsorted(self.hashes, hashes[likely])
        matches = index < len(self.hashes)
        matches[matches] = self.hashes[index[matches]] == hashes[likely][matches]
        return likely[matches], self.owners[index[matches]]


@dataclass(frozen=True)
class OverlapIndex:
    """Hashes of benchmark texts: of n-grams, of whole questions, and of questions without one word."""

    limits: Limits
    ngrams: HashTable
    questions: HashTable
    shortened: HashTable

    @classmethod
    def from_texts(cls, questions: Sequence[str], others: Sequence[str], limits: Limits) -> "OverlapIndex":
        """Build the index of `questions`, and of `others`, of which only n-grams are indexed.

        The owner of a hash is the index of its text in `[*questions, *others]`.
        """
        texts = [[split_words(text)] for text in (*questions, *others)]
        ngrams, starts = _hash_ngrams(texts, limits.ngram_size)
        owners = np.repeat(np.arange(len(texts)), np.array([len(text[0]) for text in texts], np.int64))
        short = _ShortUnits.from_units([text[0] for text in texts[: len(questions)]], limits)
        return cls(
            limits,
            HashTable.from_hashes(ngrams, owners[starts]),
            HashTable.from_hashes(short.wholes, short.units),
            HashTable.from_hashes(short.shortened, short.units[short.shortened_unit]),
        )

    def find_overlaps(self, texts: Iterable[str]) -> list[Overlap | None]:
        """Return for each text its first overlap with a text of the index, or None."""
        split_texts = [[split_words(line) for line in text.split("\n")] for text in texts]
        overlaps: list[Overlap | None] = [None] * len(split_texts)
        self._find_ngrams(split_texts, overlaps)
        self._find_questions(split_texts, overlaps)
        return overlaps

    def _find_ngrams(self, texts: list[Lines], overlaps: list[Overlap | None]) -> None:
        """Fill in `overlaps` for texts that have an n-gram of the index; the first one in a text counts."""
        ends = list(accumulate(sum(map(len, text)) for text in texts))
        text_starts = np.array([0, *ends])
        ngrams, starts = _hash_ngrams(texts, self.limits.ngram_size)
        matches, owners = self.ngrams.find_matches(ngrams)
        for start, owner in zip(starts[matches].tolist(), owners.tolist(), strict=True):
            index = int(np.searchsorted(text_starts, start, side="right")) - 1
            if overlaps[index] is None:
                words = [word for line in texts[index] for word in line]
                shared = words[start - text_starts[index] :][: self.limits.ngram_size]
                overlaps[index] = Overlap(f"{self.limits.ngram_size} words in a row", owner, " ".join(shared))

    def _find_questions(self, texts: list[Lines], overlaps: list[Overlap | None]) -> None:
        """Fill in `overlaps` for the remaining texts: those that are a question of the index, or have such a line."""
        units = [(index, unit) for index, text in enumerate(texts) for unit in _list_units(text)]
        short = _ShortUnits.from_units([unit for _, unit in units], self.limits)
        one_longer = self.limits.fuzzy_match_min_words + 1
        for kind, table, hashes, shortened_unit, min_words in (
            ("a whole question", self.questions, short.wholes, None, 0),
            ("a question with a word changed", self.shortened, short.shortened, short.shortened_unit, 0),
            ("a question with a word added", self.questions, short.shortened, short.shortened_unit, one_longer),
            ("a question with a word left out", self.shortened, short.wholes, None, 0),
        ):
            matches, owners = table.find_matches(hashes)
            matching_units = matches if shortened_unit is None else shortened_unit[matches]
            for short_unit, owner in zip(matching_units.tolist(), owners.tolist(), strict=True):
                index, words = units[short.units[short_unit]]
                if overlaps[index] is None and len(words) >= min_words:
                    overlaps[index] = Overlap(kind, owner, " ".join(words))


def _list_units(text: Lines) -> list[list[str]]:
    """Return the words of the whole text and, if it has several lines, of each line that is long enough."""
    whole = [word for line in text for word in line]
    long_enough = [line for line in text if len(line) >= MIN_LINE_WORDS]
    return [whole, *(line for line in long_enough if len(line) < len(whole))]


def _hash_words(lines: Iterable[list[str]]) -> np.ndarray:
    """Return a hash of each word (words,) in uint64."""
    numbers = np.fromiter((crc32(word.encode()) for line in lines for word in line), np.uint64)
    numbers = (numbers + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
    return numbers ^ (numbers >> np.uint64(32))


def _hash_ngrams(texts: list[Lines], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each n-gram of `length` words, and the index of its first word among the words of all texts.

    1. Hash the words of all texts, one after another.
    2. The hash of an n-gram is the sum of h(word i) * FACTOR ** (length - 1 - i), modulo 2**64.
    3. Drop n-grams that reach into the next text.
    """
    word_hashes = _hash_words(line for text in texts for line in text)
    count = max(len(word_hashes) - length + 1, 0)
    ngrams = np.zeros(count, np.uint64)
    for offset in range(length):
        ngrams = ngrams * FACTOR + word_hashes[offset : offset + count]
    ends = np.cumsum([sum(map(len, text)) for text in texts], dtype=np.int64)
    lengths = np.diff(ends, prepend=0)
    words_left = np.repeat(ends, lengths)[:count] - np.arange(count)  # from here to the end of the text
    starts = np.flatnonzero(words_left >= length)
    return ngrams[starts], starts


@dataclass(frozen=True)
class _ShortUnits:
    """Hashes of the short units among some units. A unit is a list of words.

    - `units` (short,): index of each short unit among all units
    - `wholes` (short,): hash of each short unit
    - `shortened` (words,): hash of the unit without this word, for each word of units of at least `min_words` words
    - `shortened_unit` (words,): index of this unit in `units`
    """

    units: np.ndarray
    wholes: np.ndarray
    shortened: np.ndarray
    shortened_unit: np.ndarray

    @classmethod
    def from_units(cls, units: list[list[str]], limits: Limits) -> "_ShortUnits":
        """Hash each unit of 2 to 2 * `limits.ngram_size` words: whole, and without each word in turn.

        1. The term of word i, from 1, is h(word) * FACTOR ** i. The hash of the whole unit is the sum of its terms.
        2. Without word i, the words before it keep their terms. Those after it move forward by one position, so the sum
           of their terms is divided by FACTOR, which is a product with its inverse.

        Example: the unit a b c has the hash aF + bFF + cFFF. Without b it is aF + cFFF / F = aF + cFF, the hash of a c.
        """
        # Longer units need no hash: on one side of a changed word, they still have a whole n-gram.
        indices = [index for index, unit in enumerate(units) if 1 < len(unit) <= 2 * limits.ngram_size]
        chosen = [units[index] for index in indices]
        lengths = np.array([len(unit) for unit in chosen], np.int64)
        shortened_unit = np.repeat(np.arange(len(chosen)), lengths)
        starts = np.cumsum(lengths) - lengths
        position = np.arange(len(shortened_unit)) - starts[shortened_unit]
        powers = np.cumprod(np.full(2 * limits.ngram_size + 1, FACTOR))
        terms = _hash_words(chosen) * powers[position]
        sums = np.cumsum(terms)  # of all units, modulo 2**64: differences of them are exact
        sums_before = sums - terms
        unit_base = sums_before[starts][shortened_unit] if len(shortened_unit) else sums_before
        wholes = (sums[starts + lengths - 1] - sums_before[starts]) if len(shortened_unit) else sums
        shortened = (sums_before - unit_base) + (wholes[shortened_unit] - (sums - unit_base)) * INVERSE
        is_long = lengths[shortened_unit] >= limits.fuzzy_match_min_words
        return cls(np.array(indices, np.int64), wholes, shortened[is_long], shortened_unit[is_long])
