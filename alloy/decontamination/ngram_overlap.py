"""What texts share with the texts of a benchmark: a run of words, or a whole short question.

A run of 13 words is the measure of Brown et al., "Language Models are Few-Shot Learners" (2020), appendix C. A short
question may have no run so long, or lose it with one word: it is looked for whole among messages and their lines, as it
is or, from some length on, with one word replaced, moved, added or left out (the deletion index of symmetric spelling
correction, W. Garbe, 2012). Case, punctuation and spaces do not count (`alloy/core/text.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

import numpy as np

from alloy.core.text import words

FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
INVERSE = np.uint64(pow(int(FACTOR), -1, 2**64))
LEAST = 5  # words of a line that is looked at as a question; a message counts whatever its length
TABLE = 24  # bits of a hash by which most of what is in no benchmark is put aside quickly

Lines = list[list[str]]  # the words of each line of a text


@dataclass(frozen=True)
class Limits:
    """`run`: words in a row that two texts must share; `changed`: words from which on a question may lose one."""

    run: int
    changed: int


@dataclass(frozen=True)
class Hit:
    """What a text shares with another: `why`, the `owner` (the other's place in the index) and the `shared` words."""

    why: str
    owner: int
    shared: str


@dataclass(frozen=True)
class Keys:
    """Hashes in ascending order, each with the place of the text that it is of."""

    hashes: np.ndarray
    owners: np.ndarray
    table: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, owners: np.ndarray) -> "Keys":
        """Sort the hashes, the first owner of each before the others."""
        order = np.argsort(hashes, kind="stable")
        table = np.zeros(2**TABLE, bool)
        table[hashes >> np.uint64(64 - TABLE)] = True
        return cls(hashes[order], owners[order], table)

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places in `hashes` of those that are here, and the owner of each."""
        likely = np.flatnonzero(self.table[hashes >> np.uint64(64 - TABLE)])
        place = np.searchsorted(self.hashes, hashes[likely])
        held = place < len(self.hashes)
        held[held] = self.hashes[place[held]] == hashes[likely][held]
        return likely[held], self.owners[place[held]]


@dataclass(frozen=True)
class Index:
    """The texts of benchmarks, to be found again by their runs, whole or short by a word."""

    limits: Limits
    runs: Keys
    wholes: Keys
    shorter: Keys

    @classmethod
    def of(cls, questions: Sequence[str], others: Sequence[str], limits: Limits) -> "Index":
        """Take up the questions, and other texts whose runs count but not the whole; an owner is a place among both."""
        parts = [[words(text)] for text in (*questions, *others)]
        run, starts = _runs(parts, limits.run)
        owners = np.repeat(np.arange(len(parts)), np.array([len(part[0]) for part in parts], np.int64))
        short = _Short.of([part[0] for part in parts[: len(questions)]], limits)
        places = short.places
        return cls(
            limits,
            Keys.of(run, owners[starts]),
            Keys.of(short.wholes, places),
            Keys.of(short.shorter, places[short.unit]),
        )

    def hits(self, texts: Iterable[str]) -> list[Hit | None]:
        """Return what each text shares with one of the index, or None."""
        parts = [[words(line) for line in text.split("\n")] for text in texts]
        found: list[Hit | None] = [None] * len(parts)
        lengths = [sum(map(len, part)) for part in parts]
        begins = np.array([0, *accumulate(lengths)])
        run, starts = _runs(parts, self.limits.run)
        held, owners = self.runs.find(run)
        for start, owner in zip(starts[held].tolist(), owners.tolist(), strict=True):
            place = int(np.searchsorted(begins, start, side="right")) - 1
            if found[place] is None:
                said = [word for line in parts[place] for word in line][start - begins[place] :][: self.limits.run]
                found[place] = Hit(f"{self.limits.run} words in a row", owner, " ".join(said))
        units = [(place, unit) for place, part in enumerate(parts) for unit in _units(part)]
        short = _Short.of([unit for _, unit in units], self.limits)
        for why, keys, hashes, unit, least in (
            ("a whole question", self.wholes, short.wholes, None, 0),
            ("a question with a word changed", self.shorter, short.shorter, short.unit, 0),
            ("a question with a word added", self.wholes, short.shorter, short.unit, self.limits.changed + 1),
            ("a question with a word left out", self.shorter, short.wholes, None, 0),
        ):
            held, owners = keys.find(hashes)
            for one, owner in zip((held if unit is None else unit[held]).tolist(), owners.tolist(), strict=True):
                place, said = units[short.places[one]]
                if found[place] is None and len(said) >= least:
                    found[place] = Hit(why, owner, " ".join(said))
        return found


def _units(lines: Lines) -> list[list[str]]:
    """Return the whole, and its lines where it has several."""
    whole = [word for line in lines for word in line]
    filled = [line for line in lines if len(line) >= LEAST]
    return [whole, *(line for line in filled if len(line) < len(whole))]


def _hashes(parts: Iterable[list[str]]) -> np.ndarray:
    numbers = np.fromiter((crc32(word.encode()) for part in parts for word in part), np.uint64)
    numbers = (numbers + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
    return numbers ^ (numbers >> np.uint64(32))


def _runs(parts: list[Lines], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each run of `length` words within a text, and where it starts among the words of all."""
    hashes = _hashes(line for part in parts for line in part)
    count = max(len(hashes) - length + 1, 0)
    rolled = np.zeros(count, np.uint64)
    for place in range(length):
        rolled = rolled * FACTOR + hashes[place : place + count]
    ends = np.cumsum([sum(map(len, part)) for part in parts], dtype=np.int64)
    lengths = np.diff(ends, prepend=0)
    left = np.repeat(ends, lengths)[:count] - np.arange(count)  # words from here to the end of the text
    starts = np.flatnonzero(left >= length)
    return rolled[starts], starts


@dataclass(frozen=True)
class _Short:
    """Hashes of short texts, `places` among all: (texts,) of the `wholes`; (words,) of each `shorter` by a word."""

    places: np.ndarray
    wholes: np.ndarray
    shorter: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, texts: list[list[str]], limits: Limits) -> "_Short":
        # With a word changed, a text of 2 * run words still has a run on one side of it.
        places = [place for place, text in enumerate(texts) if 1 < len(text) <= 2 * limits.run]
        chosen = [texts[place] for place in places]
        lengths = np.array([len(text) for text in chosen], np.int64)
        unit = np.repeat(np.arange(len(chosen)), lengths)
        begins = np.cumsum(lengths) - lengths
        place = np.arange(len(unit)) - begins[unit]
        powers = np.cumprod(np.full(2 * limits.run + 1, FACTOR))
        terms = _hashes(chosen) * powers[place]
        ends = np.cumsum(terms)  # modulo 2**64, in which differences stay right
        before = ends - terms
        base = before[begins][unit] if len(unit) else before
        wholes = (ends[begins + lengths - 1] - before[begins]) if len(unit) else ends
        shorter = (before - base) + (wholes[unit] - (ends - base)) * INVERSE
        long = lengths[unit] >= limits.changed
        return cls(np.array(places, np.int64), wholes, shorter[long], unit[long])
