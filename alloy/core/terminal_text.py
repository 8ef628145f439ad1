r"""Text from data on its way to a terminal or a log: control characters are shown as what they are, never obeyed.

ESC begins commands to a terminal: colors that hide text, a new window title, OSC 52, which writes to the clipboard.
Bidirectional overrides show text in another order than it has. Both are written as JSON has them, `\u001b`, so that
a row of JSON stays the same row.
"""

import re
from typing import Any, TextIO

_CONTROLS = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # all control characters but tab and line feed
    "\u2028\u2029"  # line and paragraph separators, which begin a line in some logs
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of writing direction
    "\ud800-\udfff"  # halves of a surrogate pair, which cannot be encoded
    "\U000e0000-\U000e007f"  # tags: ASCII that cannot be seen
    "]"
)
# What tqdm writes around a bar: back to the start of the line, and a line up or down for each bar above.
_BAR = re.compile(r"(?P<start>(?:[\r\n]|\x1b\[A)*)(?P<text>.*?)(?P<end>\r*)", re.DOTALL)


def escape_controls(text: str) -> str:
    r"""Return `text` with its control characters written as `\u001b`; line feeds and tabs stay.

    >>> escape_controls("a\x1b[31mb")
    'a\\u001b[31mb'
    """
    if text.isascii() and text.replace("\n", "").isprintable():  # much the faster way
        return text
    return _CONTROLS.sub(_escaped, text)


def _escaped(found: "re.Match[str]") -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class EscapingStream:
    """A text stream, such as standard output, that escapes control characters in all that is written to it.

    Bytes that are written to its `buffer` are not looked at. `bars` lets the movements of progress bars through.
    """

    def __init__(self, stream: TextIO, *, bars: bool = False) -> None:
        """Write to `stream`."""
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

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the stream has)
        """Return what the stream itself has: `flush`, `fileno`, `isatty`, `buffer`, .."""
        return getattr(self._stream, name)

    def __iter__(self) -> Any:  # noqa: ANN401 (as the stream)
        """Return the stream's own iterator."""
        return iter(self._stream)
