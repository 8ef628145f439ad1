"""Format Markdown tables, and escape text from data for Markdown."""

import html
import re
from collections.abc import Sequence

from alloy.core.terminal_text import escape_controls

_SYNTAX = re.compile(r"([\\`*\[\]!~])")


def escape_markdown(text: str) -> str:
    r"""Return text escaped for Markdown: on one line, and without links, images, code or HTML.

    >>> escape_markdown("![x](http://y) <b>")
    '\\!\\[x\\](http://y) &lt;b&gt;'
    """
    return _SYNTAX.sub(r"\\\1", html.escape(escape_controls(" ".join(text.split())), quote=False))


def format_code(text: object) -> str:
    """Return text as a code span. Nothing in it is markup; backticks become quote marks."""
    return f"`{escape_controls(' '.join(str(text).split())).replace('`', chr(39))}`"


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, right: bool = False, padded: bool = False
) -> list[str]:
    """Return the lines of a table; line breaks and bars in cells are escaped.

    `right`: align all columns but the first to the right. `padded`: pad cells, so that columns align in a terminal.
    """
    lines = [[_escape_cell(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) if padded else 0 for column in zip(*lines, strict=True)]
    rules = ["-" * max(width, 3) for width in widths]
    rules = [*rules[:1], *(f"{rule}:" for rule in rules[1:])] if right else rules
    lines.insert(1, rules)
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _escape_cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
