"""Tables in Markdown."""

from collections.abc import Sequence


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """Return the lines of a table in Markdown; what a cell says stays in it."""
    lines: list[tuple[object, ...]] = [head, tuple("---" for _ in head), *rows]
    cells = ([" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines)
    return ["| " + " | ".join(line) + " |" for line in cells]
