"""What a prompt puts around the comment: what all user turns begin and end with alike."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, decode_text, read_lines
from alloy.formats.comments import Segment

PLACE = "{comment}"
PROMPT = "prompt.txt"
MEND = f"write the prompt, with {PLACE} in the comment's place, into {PROMPT} beside the conversations"
# Where a wrapper may end and begin: comments may begin alike by chance, but hardly up to such a mark.
BRACKETS = r"<>\[\](){}\"“”«»"
ENDS = re.compile(rf".*[\n:{BRACKETS}]\s*", re.DOTALL)
BEGINS = re.compile(rf"\s*[\n{BRACKETS}].*", re.DOTALL)


class Wrapper(NamedTuple):
    """What stands before and behind the comment in every user turn."""

    before: str
    behind: str

    def comment(self, turn: str) -> str:
        """Return the comment in a user turn; raise `ValueError` where the turn is not so wrapped or nothing is left."""
        if not turn.startswith(self.before) or not turn.endswith(self.behind):
            raise ValueError(f"the last user turn does not begin and end as {PROMPT} does; correct it or the prompt")
        comment = turn[len(self.before) : len(turn) - len(self.behind)]
        if not comment.strip():
            raise ValueError(f"no comment is left beside what all user turns share; drop it, or {MEND}")
        return comment

    def check(self, comment: str, segments: Iterable[Segment]) -> None:
        """Raise `ValueError` where a segment quotes words across the comment's beginning or end."""
        for content in (segment.content for segment in segments if segment.content):
            near = len(content) - 1
            around = self.before[len(self.before) - near :] if near < len(self.before) else self.before
            if content not in comment and content in around + comment + self.behind[:near]:
                raise ValueError(f"the content '{content}' reaches into what all user turns share; {MEND}")


def read_wrapper(path: Path) -> Wrapper:
    """Return the wrapper in a prompt file, which holds `{comment}` once; the line end of its last line is no part."""
    text = "".join(decode_text(path, read_lines(path))).removesuffix("\n").removesuffix("\r")
    if text.count(PLACE) != 1:
        raise InputError(f"{path}: {PLACE} stands {text.count(PLACE)} times; write it once, in the comment's place")
    before, _, behind = text.partition(PLACE)
    return Wrapper(before, behind)


def common_wrapper(turns: Iterable[str]) -> Wrapper | None:
    """Return what all turns share up to the last mark of `ENDS` and from the first of `BEGINS` on.

    None where all are equal: then nothing shows what the comment is.
    """
    first, before, behind, equal = None, "", "", True
    for turn in turns:
        if first is None:
            first = before = behind = turn
        equal = equal and turn == first
        before = before[: common_start(before, turn)]
        end = common_start(behind[::-1], turn[::-1]) if not turn.endswith(behind) else len(behind)
        behind = behind[len(behind) - end :]
    if equal:
        return None
    starts, ends = ENDS.match(before), BEGINS.search(behind)
    return Wrapper(starts.group() if starts else "", ends.group() if ends else "")


def common_start(one: str, other: str) -> int:
    """Return how many letters both begin with; prompts are long and mostly alike, so by halves."""
    low, high = 0, min(len(one), len(other))
    if other.startswith(one[:high]):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
