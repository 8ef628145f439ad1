"""Read YAML that people write, safely: without running code, and without a huge number of values.

An alias (`*name`) repeats the value of its anchor (`&name`). Ten lines with nine aliases each, all of the line above,
have a billion values ("billion laughs"), and code that visits them never ends. So before a text is loaded, its values
are counted with all aliases resolved. This takes no longer than parsing the text once.
"""

from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import InputError
from alloy.core.yaml_fix import how_to_fix

MAX_VALUES = 100_000  # with all aliases resolved; the largest profile has a few hundred
MAX_DEPTH = 100  # of nesting
CHARACTERS_PER_VALUE = 100  # a text counts as one more value per this many characters
MAX_CHARACTERS = 50_000_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str, location: str | Path) -> Any:  # noqa: ANN401 (a YAML document may be anything)
    """Return the values in a YAML text; `location` names the file in errors. Tags do not create Python objects.

    A text that is not valid YAML, or that has too many values, raises `InputError`.
    """
    check_yaml(text, location)
    try:
        return yaml.load(text, Loader=_LOADER)  # the loader of yaml.safe_load
    except yaml.YAMLError:
        try:
            yaml.safe_load(text)  # slower, but more exact about the line
        except yaml.YAMLError as error:
            raise make_yaml_error(error, location) from None
        raise
    except ValueError as error:  # a date such as 2024-13-45
        raise InputError(f"{location}: not valid YAML: {error}; quote the value if it is text") from None


def read_yaml(path: str | Path) -> Any:  # noqa: ANN401 (a YAML document may be anything)
    """Return the values in a YAML file; errors are raised as by `load_yaml`."""
    try:
        return load_yaml(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None


def make_yaml_error(error: yaml.YAMLError, location: str | Path) -> InputError:
    """Return the error about a text that is not valid YAML: file, line, reason, how to fix it."""
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return InputError(f"{location}{line}: not valid YAML: {reason}; {how_to_fix(reason)}")


def check_yaml(text: str, location: str | Path) -> None:
    """Raise `InputError` if a YAML text is nested too deeply, or has too many values with all aliases resolved.

    1. Go through the events of the parser, which does not build values.
    2. Count the values of each open list and mapping. Remember the count of each value that has an anchor.
    3. An alias counts as many values as its anchor.

    Text that is not valid YAML is not an error here; the loader reports it.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"{location}: expected at most {MAX_CHARACTERS:,} characters, got {len(text):,}; make the file smaller"
        )
    open_counts, open_anchors = [0], [""]
    anchors: dict[str, int] = {}

    def add_values(count: int, line: int) -> None:
        open_counts[-1] += count
        if open_counts[-1] > MAX_VALUES and anchors:
            raise InputError(
                f"{location}:{line}: expected at most {MAX_VALUES:,} values with aliases (*name) resolved, got more; "
                "write the values instead of aliases"
            )

    try:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                if event.anchor in open_anchors:
                    raise InputError(
                        f"{location}:{line}: *{event.anchor} contains itself; write the values instead of the alias"
                    )
                add_values(anchors.get(event.anchor, 1), line)
            elif isinstance(event, yaml.ScalarEvent):
                count = 1 + len(event.value) // CHARACTERS_PER_VALUE
                if event.anchor:
                    anchors[event.anchor] = count
                add_values(count, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                if len(open_counts) > MAX_DEPTH:
                    raise InputError(
                        f"{location}:{line}: expected at most {MAX_DEPTH} levels of nesting, got more; reduce them"
                    )
                open_counts.append(1)
                open_anchors.append(event.anchor or "")
            elif isinstance(event, yaml.CollectionEndEvent):
                count, anchor = open_counts.pop(), open_anchors.pop()
                if anchor:
                    anchors[anchor] = count
                add_values(count, line)
    except yaml.YAMLError:
        return
