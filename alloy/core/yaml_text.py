"""YAML that people write: read without running anything, and without growing.

An alias (`*name`) repeats what its anchor (`&name`) holds. Ten lines of nine aliases each, every line of the one above,
hold a billion values ("billion laughs"), which whoever walks through them takes for real. So before such a text is
read, its values are counted with all aliases followed, which needs no more time than to read them once.
"""

from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import InputError
from alloy.core.yaml_fix import how_to_fix

MOST_VALUES = 100_000  # with all aliases followed; the largest profile has some hundred
DEEPEST = 100  # levels of nesting
CHARACTERS = 100  # of a text that count as a value
MOST_CHARACTERS = 50_000_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str, place: str | Path) -> Any:  # noqa: ANN401 (a YAML document may be anything)
    """Return the values in a YAML text; `place` names the file in errors. No tag of the text makes an object.

    A text that is not valid YAML, or that holds more values than anyone writes, raises `InputError`.
    """
    check_yaml(text, place)
    try:
        return yaml.load(text, Loader=_LOADER)  # the loader of yaml.safe_load
    except yaml.YAMLError:
        try:
            yaml.safe_load(text)  # slower, and knows the line better
        except yaml.YAMLError as error:
            raise yaml_fault(error, place) from None
        raise
    except ValueError as error:  # a date such as 2024-13-45
        raise InputError(f"{place}: not valid YAML: {error}; quote it, if it is text") from None


def read_yaml(path: str | Path) -> Any:  # noqa: ANN401 (a YAML document may be anything)
    """Return the values in a YAML file, as `load_yaml` does."""
    try:
        return load_yaml(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None


def yaml_fault(error: yaml.YAMLError, place: str | Path) -> InputError:
    """Return the error of a text that is not valid YAML: file, line, reason, what to do."""
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return InputError(f"{place}{line}: not valid YAML: {reason}; {how_to_fix(reason)}")


def check_yaml(text: str, place: str | Path) -> None:
    """Raise `InputError` if a YAML text nests too deeply, or holds too many values with all aliases followed.

    1. Go through the events of the parser, which builds no values.
    2. Count the values of each list and mapping that is open; an anchor keeps the count of its value.
    3. An alias counts as many values as its anchor.

    What is not valid YAML is left to the loader, which says so.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{place}: {len(text):,} characters; a YAML file of settings has some thousand")
    open_counts, open_anchors = [0], [""]
    anchors: dict[str, int] = {}

    def add(count: int, line: int) -> None:
        open_counts[-1] += count
        if open_counts[-1] > MOST_VALUES and anchors:
            raise InputError(
                f"{place}:{line}: with its aliases (*name) the file holds more than {MOST_VALUES:,} values; "
                "write the values themselves"
            )

    try:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                if event.anchor in open_anchors:
                    raise InputError(f"{place}:{line}: *{event.anchor} holds itself; write the values themselves")
                add(anchors.get(event.anchor, 1), line)
            elif isinstance(event, yaml.ScalarEvent):
                count = 1 + len(event.value) // CHARACTERS
                if event.anchor:
                    anchors[event.anchor] = count
                add(count, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                if len(open_counts) > DEEPEST:
                    raise InputError(f"{place}:{line}: nested more than {DEEPEST} levels deep; write it flatter")
                open_counts.append(1)
                open_anchors.append(event.anchor or "")
            elif isinstance(event, yaml.CollectionEndEvent):
                count, anchor = open_counts.pop(), open_anchors.pop()
                if anchor:
                    anchors[anchor] = count
                add(count, line)
    except yaml.YAMLError:
        return
