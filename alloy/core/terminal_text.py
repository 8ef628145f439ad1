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
    "\U000e0000-\U000e007f"  # tags: invisible ASCII
    "]"
)
# What tqdm writes around a progress bar: back to the start of the line, and a line up or down for each bar above.
_BAR = re.compile(r"(?P<start>(?:[\r\n]|\x1b\[A)*)(?P<text>.*?)(?P<end>\r*)", re.DOTALL)


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
    """Wraps a text stream such as standard output, and escapes control characters in written text.

    Bytes that are written to its `buffer` are not changed. With `bars`, the cursor movements of progress bars are not
    escaped.
    """

    def __init__(self, stream: TextIO, *, bars: bool = False) -> None:
        """Write the escaped text to `stream`."""
        self._stream = stream
        self._bars = bars

    def write(self, text: str) -> int:
        """Write `text`, escaped; return its length."""
        start = end = ""
        if self._bars and (bar := _BAR.fullmatch(text)):
            start, end = bar["start"], bar["end"]
        self._stream.write(start + escape_controls(text[len(start) : len(text) - len(end)]) + end)
        return len(text)

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
