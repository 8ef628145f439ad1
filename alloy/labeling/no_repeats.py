"""Forbid repeated segments: find the tokens that can only lead to a segment that the answer already has.

A grammar cannot forbid repeats: it would need a rule for every set of segments. So the tokens are removed step by step
from those that the grammar allows.

A segment is a content (which may be absent) and a `tail`: the labels and the emotion. All possible tails of a task are
known. While the tail of a segment is being written:

1. `seen` are the tails of the earlier segments with the same content. If there are none, nothing is forbidden.
2. `written` is the text of the tail so far. Keep the tails in `seen` that start with `written`.
3. For each of them, look up the tokens that continue it, including tokens that reach beyond its end.
4. Forbid a token if every possible tail that starts with `written` + token is in `seen`. Nothing new could follow.

Step 4 counts the possible tails by bisection in a sorted list.

Example: after `[{"L1": "Price", "L2": "Fair"}, {"L1": "Price", "L2": "` the token `Fair` is forbidden. If Price has no
other label, the token `Price` was forbidden already.
"""

from bisect import bisect_left
from collections import defaultdict

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import Codes
from alloy.labeling.grammar import list_tails

ENDS = (b"]", b', {"')  # text after a segment
QUOTE, ESCAPE, CLOSE = b'"\\}'
LAST = b"\xff"  # sorts after every byte of UTF-8


class NoRepeats:
    """The rule against repeats, for one task and the tokens of one model."""

    def __init__(self, token_bytes: list[bytes], taxonomy: Taxonomy, task: Row, codes: Codes | None) -> None:
        """`token_bytes` has the bytes of each token. Tokens without bytes are never written."""
        self.token_bytes = token_bytes
        self.tokens: dict[bytes, list[int]] = defaultdict(list)
        for token, letters in enumerate(token_bytes):
            self.tokens[letters].append(token)
        self.longest = max(map(len, self.tokens))
        self.tails = sorted(tail.encode() for tail in list_tails(taxonomy, task, codes))
        self.has_content: bool = task["has_content"]

    def follow_answer(self) -> "WrittenSegments":
        """Return the state of one answer, at its start."""
        return WrittenSegments(self)

    def count_tails(self, beginning: bytes) -> int:
        """Return how many possible tails start with `beginning`."""
        return bisect_left(self.tails, beginning + LAST) - bisect_left(self.tails, beginning)


class WrittenSegments:
    """The segments of one answer, while it is written."""

    def __init__(self, rule: NoRepeats) -> None:
        self.rule = rule
        self.seen: dict[bytes, set[bytes]] = defaultdict(set)  # tails by content
        # The segment that is being written, from the first letter of its first key; None between segments.
        self.text: bytearray | None = None
        self.quotes = 0  # quotes that open or close strings, including the one before `text`
        self.escaped = False
        self.tail = 0  # where the tail starts in `text`; 0 if that is not known yet

    def accept(self, token: int) -> None:
        """Continue after a token."""
        for letter in self.rule.token_bytes[token]:
            self._read_byte(letter)

    def _read_byte(self, letter: int) -> None:
        """Read a byte. Strings are tracked, because a content may hold braces and escaped quotes."""
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
            if self.rule.has_content and self.quotes == 5:  # opens the key after the content
                self.tail = len(self.text)
        elif not inside and letter == CLOSE:
            self.seen[bytes(self.text[: self.tail])].add(bytes(self.text[self.tail :]))
            self.text = None

    def find_forbidden(self) -> list[int]:
        """Return the tokens that can only lead to a segment that the answer already has."""
        if self.text is None or (self.rule.has_content and not self.tail):
            return []
        seen = self.seen.get(bytes(self.text[: self.tail]))
        if not seen:
            return []
        written = bytes(self.text[self.tail :])
        started = [tail for tail in seen if tail.startswith(written)]
        tokens: set[int] = set()
        for tail in started:
            for end in ENDS:
                rest = tail[len(written) :] + end
                for length in range(1, min(len(rest), self.rule.longest) + 1):
                    candidates = self.rule.tokens.get(rest[:length])
                    beginning = tail[: len(written) + length]
                    if candidates and self.rule.count_tails(beginning) == sum(
                        other.startswith(beginning) for other in started
                    ):
                        tokens.update(candidates)
        return sorted(tokens)
