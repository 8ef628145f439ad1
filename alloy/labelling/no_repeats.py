"""No segment twice in one answer: which tokens would end in a segment that the answer has already.

No grammar of bounded size can say that a segment must differ from those before it: it would have a rule for every set
of segments. So tokens are taken away step by step, from those that the grammar allows.

A segment is a content, which may be none, and what follows it, its `tail`: labels and emotion. All tails of a task are
known. While a tail is written whose content occurred before, let `written` be its beginning, and `seen` the tails that
came with that content:

1. A token is looked at if it goes on with a tail of `seen`, or goes beyond its end.
2. It is forbidden if every tail that begins with `written` and the token is in `seen`: then nothing new can follow.

Step 2 counts tails in a sorted list, by bisection; step 1 needs a few look-ups per tail of `seen`. Without a repeated
content nothing is computed.

Example: after `[{"L1": "Price", "L2": "Fair"}, {"L1": "Price", "L2": "` the token `Fair` is forbidden. If Price has no
other label, `Price` was forbidden before.
"""

from bisect import bisect_left
from collections import defaultdict

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.answer import Codes
from alloy.labelling.grammar import tails_of

ENDS = (b"]", b', {"')  # what follows a segment
QUOTE, ESCAPE, CLOSE = b'"\\}'
LAST = b"\xff"  # behind every letter: no byte of UTF-8


class NoRepeats:
    """The rule for one task and the tokens of one model."""

    def __init__(self, spelling: list[bytes], taxonomy: Taxonomy, task: Row, codes: Codes | None) -> None:
        """`spelling` has the bytes of each token; one without bytes is never written."""
        self.spelling = spelling
        self.tokens: dict[bytes, list[int]] = defaultdict(list)
        for token, letters in enumerate(spelling):
            self.tokens[letters].append(token)
        self.longest = max(map(len, self.tokens))
        self.tails = sorted(tail.encode() for tail in tails_of(taxonomy, task, codes))
        self.has_content: bool = task["has_content"]

    def start(self) -> "Segments":
        """Return what follows one answer."""
        return Segments(self)

    def count(self, beginning: bytes) -> int:
        """Return how many tails begin so."""
        return bisect_left(self.tails, beginning + LAST) - bisect_left(self.tails, beginning)


class Segments:
    """The segments of one answer as they are written."""

    def __init__(self, rule: NoRepeats) -> None:
        self.rule = rule
        self.seen: dict[bytes, set[bytes]] = defaultdict(set)  # tails by content
        self.text: bytearray | None = (
            None  # of the segment that is being written, from the first letter of its first key
        )
        self.quotes = 0  # of strings, in that text and before it
        self.escaped = False
        self.tail = 0  # where it begins in that text, 0 if it is not known yet

    def accept(self, token: int) -> None:
        """Go on after a token."""
        for letter in self.rule.spelling[token]:
            self._read(letter)

    def _read(self, letter: int) -> None:
        """Read a byte. Strings are followed, since a content may hold braces and escaped quotes."""
        if self.text is None:
            if letter == QUOTE:  # after `[{` or `, {`
                self.text, self.quotes, self.escaped, self.tail = bytearray(), 1, False, 0
            return
        self.text.append(letter)
        inside = self.quotes % 2 == 1
        if self.escaped:
            self.escaped = False
        elif inside and letter == ESCAPE:
            self.escaped = True
        elif letter == QUOTE:
            self.quotes += 1
            if self.rule.has_content and self.quotes == 5:  # opens the first string after the content
                self.tail = len(self.text)
        elif not inside and letter == CLOSE:
            self.seen[bytes(self.text[: self.tail])].add(bytes(self.text[self.tail :]))
            self.text = None

    def find_forbidden(self) -> list[int]:
        """Return the tokens after which no segment can follow that is not there already."""
        if self.text is None or (self.rule.has_content and not self.tail):
            return []
        seen = self.seen.get(bytes(self.text[: self.tail]))
        if not seen:
            return []
        written = bytes(self.text[self.tail :])
        begun = [tail for tail in seen if tail.startswith(written)]
        tokens: set[int] = set()
        for tail in begun:
            for end in ENDS:
                rest = tail[len(written) :] + end
                for length in range(1, min(len(rest), self.rule.longest) + 1):
                    found = self.rule.tokens.get(rest[:length])
                    beginning = tail[: len(written) + length]
                    if found and self.rule.count(beginning) == sum(one.startswith(beginning) for one in begun):
                        tokens.update(found)
        return sorted(tokens)
