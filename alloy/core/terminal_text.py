r"""Escape control characters in text from data before it reaches a terminal or a log.

ESC begins commands to a terminal: colors that hide text, a new window title, or OSC 52, which writes to the clipboard.
Bidirectional overrides change the order in which text is shown. Both are escaped as in JSON, such as `\u001b`, so that
a JSON row still has the same value.
"""

import re
from typing import Any, TextIO

_CONTROLS = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # all control characters except tab and line feed
    "\u2028\u2029"  # line and paragraph separators, which begin a line in some logs
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of text direction
    "\ud800-\udfff"  # unpaired surrogates, which cannot be encoded
    "\ufffe\uffff"  # noncharacters, which XML does not allow
    "\U000e0000-\U000e007f"  # tags: invisible ASCII
    "]"
)
_LINES_DOWN = re.compile(r"\n+")
_LINES_UP = re.compile(r"(?:\x1b\[A)+")
_UP = "\x1b[A"


def escape_controls(text: str) -> str:
    r"""Return `text` with its control characters written as `\u001b`; line feeds and tabs stay.

    >>> escape_controls("a\x1b[31mb")
    'a\\u001b[31mb'
    """
    if text.isascii() and text.replace("\n", "").isprintable():  # nothing to escape; much faster than the expression
        return text
    return _CONTROLS.sub(_escape_match, text)


def _escape_match(match: "re.Match[str]") -> str:
    data = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[index]:02x}{data[index + 1]:02x}" for index in range(0, len(data), 2))


class EscapingStream:
    r"""Wraps a text stream such as standard output, and escapes control characters in written text.

    Bytes that are written to its `buffer` are not changed. With `bars`, the cursor movements of tqdm's bars are
    not escaped, if they can only overwrite bars and empty lines:

    1. `\r` before and after a bar, if the line is empty or has a bar;
    2. lines up, in a write of their own, if tqdm went down as many lines from there before.
    """

    def __init__(self, stream: TextIO, *, bars: bool = False) -> None:
        """Write the escaped text to `stream`."""
        self._stream = stream
        self._bars = bars
        self._may_overwrite = True  # the current line is empty or has a bar
        self._lines_down = 0  # from a line that may be overwritten

    def write(self, text: str) -> int:
        """Write `text`, escaped; return its length."""
        self._stream.write(self._escape_around_bars(text) if self._bars and text else escape_controls(text))
        return len(text)

    def _escape_around_bars(self, text: str) -> str:
        """Return `text`, escaped except for cursor movements of bars; follow on which line the cursor is."""
        if _LINES_DOWN.fullmatch(text):
            self._lines_down = self._lines_down + len(text) if self._may_overwrite else len(text) - 1
            self._may_overwrite = True
            return text
        lines_up = text.count(_UP)
        if _LINES_UP.fullmatch(text) and self._may_overwrite and lines_up <= self._lines_down:
            self._lines_down -= lines_up
            return text
        if text[0] == "\r" and self._may_overwrite and "\n" not in text:
            start = text.rstrip("\r")
            return "\r" + escape_controls(start[1:]) + "\r" * (len(text) - max(len(start), 1))
        self._lines_down, self._may_overwrite = 0, text.endswith("\n")
        return escape_controls(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (any attribute of the stream)
        """Return an attribute of the stream itself: `flush`, `fileno`, `isatty`, `buffer`, ..."""
        return getattr(self._stream, name)

    def __iter__(self) -> Any:  # noqa: ANN401 (as the stream)
        """Return the iterator of the stream."""
        return iter(self._stream)
