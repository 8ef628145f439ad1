"""Find the prompt around the comment: the text with which all user turns start and end."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, decode_text, read_lines
from alloy.formats.comments import Segment

PLACEHOLDER = "{comment}"
PROMPT = "prompt.txt"
FIX = f"write the prompt, with {PLACEHOLDER} where the comment goes, to {PROMPT} next to the conversations"
# The text before the comment ends at one of these characters, and the text after it begins at one. Comments may begin
# with the same letters by chance, but rarely up to such a character.
BRACKETS = r"<>\[\](){}\"“”«»"
ENDS = re.compile(rf".*[\n:{BRACKETS}]\s*", re.DOTALL)
BEGINS = re.compile(rf"\s*[\n{BRACKETS}].*", re.DOTALL)


class Wrapper(NamedTuple):
    """The text before and after the comment in every user turn."""

    before: str
    after: str

    def extract_comment(self, turn: str) -> str:
        """Return the comment in a user turn; raise `ValueError` if the prompt is missing or the comment is empty."""
        if not turn.startswith(self.before) or not turn.endswith(self.after):
            raise ValueError(f"the last user turn does not start and end like {PROMPT}; correct the turn or {PROMPT}")
        comment = turn[len(self.before) : len(turn) - len(self.after)]
        if not comment.strip():
            raise ValueError(
                f"the user turn has only the text that all user turns share; remove the conversation, or {FIX}"
            )
        return comment

    def check_contents(self, comment: str, segments: Iterable[Segment]) -> None:
        """Raise `ValueError` if the content of a segment crosses the start or the end of the comment."""
        for content in (segment.content for segment in segments if segment.content):
            overlap = len(content) - 1
            before = self.before[len(self.before) - overlap :] if overlap < len(self.before) else self.before
            if content not in comment and content in before + comment + self.after[:overlap]:
                raise ValueError(f"the content '{content}' is partly in the text that all user turns share; {FIX}")


def read_wrapper(path: Path) -> Wrapper:
    """Return the wrapper in a prompt file, which contains `{comment}` once. The last line end is ignored."""
    text = "".join(decode_text(path, read_lines(path))).removesuffix("\n").removesuffix("\r")
    if text.count(PLACEHOLDER) != 1:
        raise InputError(
            f"{path}: expected {PLACEHOLDER} once, got {text.count(PLACEHOLDER)}; put {PLACEHOLDER} once, where the "
            "comment goes"
        )
    before, _, after = text.partition(PLACEHOLDER)
    return Wrapper(before, after)


def find_common_wrapper(turns: Iterable[str]) -> Wrapper | None:
    """Return the text that all turns share; None if all turns are equal, since then the comment cannot be found.

    1. Find the common start and the common end of all turns.
    2. Shorten the start to its last line end, colon or bracket (`ENDS`), and the end to its first one (`BEGINS`).
    """
    first, before, after, equal = None, "", "", True
    for turn in turns:
        if first is None:
            first = before = after = turn
        equal = equal and turn == first
        before = before[: count_common_start(before, turn)]
        end = count_common_start(after[::-1], turn[::-1]) if not turn.endswith(after) else len(after)
        after = after[len(after) - end :]
    if equal:
        return None
    starts, ends = ENDS.match(before), BEGINS.search(after)
    return Wrapper(starts.group() if starts else "", ends.group() if ends else "")


def count_common_start(first: str, second: str) -> int:
    """Return the length of the common start of two texts, by bisection (prompts are long and mostly equal)."""
    low, high = 0, min(len(first), len(second))
    if second.startswith(first[:high]):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low
