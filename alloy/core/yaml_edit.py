"""YAML with its lines: values that know where they stand, and values replaced while all else stays letter by letter.

A dump of what was loaded would change more than was asked for: PyYAML's drops comments; that of ruamel.yaml, which is
what `dvc exp run -S` does, keeps them, but leaves a blank for each `null`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from alloy.core.files import InputError


@dataclass(frozen=True)
class Place:
    """A value in a YAML file: its file, its dotted key and its node. As a string: `file:line: key`."""

    path: Path
    key: str
    node: yaml.Node

    @classmethod
    def of(cls, text: str, path: Path) -> "Place":
        """Return the whole of a file, which must be a mapping."""
        try:
            node = yaml.compose(text, yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            reason = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise InputError(f"{path}{line}: not valid YAML: {reason}") from None
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{path}: write `key: value` lines")
        return cls(path, "", node)

    def __str__(self) -> str:
        return f"{self.path}:{self.node.start_mark.line + 1}: {self.key}"

    def items(self) -> list[tuple[str, "Place"]]:
        """Return the entries of a mapping; any other value raises."""
        if not isinstance(self.node, yaml.MappingNode):
            raise InputError(f"{self}: write `key: value` lines below it")
        prefix = f"{self.key}." if self.key else ""
        return [(key.value, Place(self.path, f"{prefix}{key.value}", value)) for key, value in self.node.value]

    def get(self, key: str) -> "Place | None":
        """Return the value of a key, or None."""
        return dict(self.items()).get(key) if isinstance(self.node, yaml.MappingNode) else None

    def need(self, key: str) -> "Place":
        """Return the value of a key; a missing one raises."""
        found = dict(self.items()).get(key)
        if found is None:
            raise InputError(f"{self}: there is no `{key}`; add it")
        return found

    def text(self) -> str:
        """Return a scalar as it is written; of any other value, what it is."""
        if isinstance(self.node, yaml.ScalarNode):
            return self.node.value
        return "a mapping" if isinstance(self.node, yaml.MappingNode) else "a list"


def replace_values(text: str, path: Path, section: str, values: dict[str, Any]) -> str:
    """Return a file's text with other values for keys of a section, which must be there; `path` names it in errors.

    A mapping is written one entry a line below its key; comments beside the key stay, those within an old value go.
    """
    for key, value in values.items():
        place = Place.of(text, path).need(section)
        place.need(key)
        parent = cast("yaml.MappingNode", place.node)
        name, node = next(pair for pair in parent.value if pair[0].value == key)
        start = node.start_mark.index
        end = start + len(text[start : node.end_mark.index].rstrip())  # a text of several lines ends in the next key's
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            text = _without_lines(text, start, _last(node))
            start = end = text.index(":", name.end_mark.index) + 1
        if isinstance(value, dict) and value and not parent.flow_style:
            indent = parent.value[0][0].start_mark.column + 2
            text = _with_lines(text, start, end, _lines(value, indent))
        else:
            new = (" " if text[start - 1] == ":" else "") + _flow(value)
            text = text[:start] + new + _beside(text[end:], len(new) - (end - start))
    return text


def _beside(rest: str, longer: int) -> str:
    """Return what stands behind a value that is so many letters longer than it was, a comment where it was."""
    comment = rest.lstrip(" ")
    gap = len(rest) - len(comment)
    return " " * max(gap - longer, min(gap, 2)) + comment if comment.startswith("#") else rest


def _last(node: yaml.Node) -> int:
    """Return where the last value in a node ends: a block itself ends where the next key begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node.end_mark.index


def _without_lines(text: str, start: int, end: int) -> str:
    """Return the text without the lines from the place `start` to the place `end`."""
    stop = text.find("\n", end)
    return text[: text.rfind("\n", 0, start) + 1] + (text[stop + 1 :] if stop >= 0 else "")


def _with_lines(text: str, start: int, end: int, lines: list[str]) -> str:
    """Return the text with what stands from `start` to `end` blanked, and lines put below the line that ends it."""
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    line_end = "\r\n" if "\r\n" in text else "\n"
    rest = text[end:stop].rstrip()
    blank = " " * (end - start) if rest and "\n" not in text[start:end] else ""
    head = text[:start] if rest else text[:start].rstrip(" ")
    return "".join(line + line_end for line in (head + blank + rest, *lines)) + text[stop + 1 :]


def _lines(value: dict[str, Any], indent: int) -> list[str]:
    return [" " * indent + _flow({key: entry})[1:-1] for key, entry in value.items()]


def _flow(value: Any) -> str:  # noqa: ANN401 (whatever YAML holds)
    """Return a value on one line."""
    # In a list, since a scalar alone is dumped with the end of a document.
    return yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)[1:-2]
