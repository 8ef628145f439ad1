"""Tables in Markdown, and text from data in it."""

import html
import re
from collections.abc import Sequence

from alloy.core.terminal_text import escape_controls

_SYNTAX = re.compile(r"([\\`*\[\]!~])")


def escape_markdown(text: str) -> str:
    r"""Return text from data so that Markdown shows it as it is: no link, image, code or HTML, and one line.

    >>> escape_markdown("![x](http://y) <b>")
    '\\!\\[x\\](http://y) &lt;b&gt;'
    """
    return _SYNTAX.sub(r"\\\1", html.escape(escape_controls(" ".join(text.split())), quote=False))


def code(text: object) -> str:
    """Return text from data as a span of code, in which nothing is markup; a backtick would end it."""
    return f"`{escape_controls(' '.join(str(text).split())).replace('`', chr(39))}`"


def table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, right: bool = False, padded: bool = False
) -> list[str]:
    """Return the lines of a table; what a cell says stays in it.

    `right`: all columns but the first are aligned to the right. `padded`: columns are as wide as in a terminal.
    """
    lines = [[_cell(cell) for cell in line] for line in (head, *rows)]
    widths = [max(map(len, column)) if padded else 0 for column in zip(*lines, strict=True)]
    rules = ["-" * max(width, 3) for width in widths]
    rules = [*rules[:1], *(f"{rule}:" for rule in rules[1:])] if right else rules
    lines.insert(1, rules)
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
