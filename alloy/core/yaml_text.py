"""Read YAML that people write, safely: without running code, and without a huge number of values.

An alias (`*name`) repeats the value of its anchor (`&name`). Ten lines with nine aliases each, all of the line above,
have a billion values ("billion laughs"), and code that visits them never ends. So before a text is loaded, its values
are counted with all aliases resolved. This takes no longer than parsing the text once. Values that make PyYAML fail
without a line number, such as `!!int x`, or that take it forever, such as 0:59:59:... with base 60, are found too.
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
MAX_NUMBER_LENGTH = 300  # digits and signs
MAX_EXACT_LENGTH = 1_000_000  # of a text that is parsed a second time, slowly, for a more exact error
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
# Tags of values that the loader computes from text.
_COMPUTED = {f"{_TAG}{name}": name for name in ("bool", "int", "float", "timestamp")}
_NUMBERS = ("int", "float")
_TAGS_OF_KINDS = {  # which tags the values of each kind may have
    yaml.MappingStartEvent: {"map", "set", "omap", "pairs"},
    yaml.SequenceStartEvent: {"seq", "omap", "pairs"},
}
_COLLECTION_TAGS = {"map", "set", "seq", "omap", "pairs"}
# What PyYAML raises for values that are not valid.
VALUE_ERRORS = (ValueError, KeyError, IndexError, AttributeError, TypeError, ArithmeticError)


def load_yaml(text: str, location: str | Path) -> Any:  # noqa: ANN401 (a YAML document may be anything)
    """Return the values in a YAML text; `location` names the file in errors. Tags do not create Python objects.

    A text that is not valid YAML, or that has too many values, raises `InputError`.
    """
    if error := check_yaml(text, location, dates=True):
        raise make_yaml_error(error, location)
    try:
        return yaml.load(text, Loader=_LOADER)  # the loader of yaml.safe_load
    except yaml.YAMLError as error:
        raise make_yaml_error(error, location) from None
    except VALUE_ERRORS as error:
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


def check_yaml(text: str, location: str | Path, *, dates: bool = False) -> yaml.YAMLError | None:
    """Raise `InputError` if a YAML text is nested too deeply, or has bad values or too many (aliases resolved).

    With `dates`, the loader reads text such as 2024-01-02 as a date, so that it must be one.

    1. Go through the events of the parser, which does not build values.
    2. Count the values of each open list and mapping. Remember the count of each value that has an anchor.
    3. An alias counts as many values as its anchor.
    4. Check the text of each number, date and truth value, and each tag.

    If the text is not valid YAML, return the parser's error.
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
                _check_scalar(event, f"{location}:{line}", dates)
                count = 1 + len(event.value) // CHARACTERS_PER_VALUE
                if event.anchor:
                    anchors[event.anchor] = count
                add_values(count, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                _check_tag(event, f"{location}:{line}", _TAGS_OF_KINDS[type(event)])
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
    except yaml.YAMLError as error:
        return _find_exact_error(text) or error
    return None


def _find_exact_error(text: str) -> yaml.YAMLError | None:
    """Return the error of PyYAML's own parser, which is slower, but more exact about the line than libyaml."""
    if len(text) > MAX_EXACT_LENGTH:
        return None
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as error:
        return error
    except (*VALUE_ERRORS, RecursionError):  # such as "\\UFFFFFFFF"
        return None
    return None


def _check_scalar(event: yaml.ScalarEvent, location: str, dates: bool) -> None:
    """Raise `InputError` if a number, date or truth value is not valid, or is too long; try to construct it."""
    _check_tag(event, location, set())
    tag, is_tagged = event.tag, event.tag is not None
    if not is_tagged and event.implicit[0]:  # neither a tag nor quotes: the text says what it is
        resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(event.value[:1], [])
        tag = next((tag for tag, pattern in resolvers if pattern.match(event.value)), None)
    if tag not in _COMPUTED or (_COMPUTED[tag] == "timestamp" and not is_tagged and not dates):
        return
    kind = _COMPUTED[tag]
    fix = "remove the tag, which begins with `!`" if is_tagged else "quote the value if it is text"
    if kind in _NUMBERS and len(event.value) > MAX_NUMBER_LENGTH:
        raise InputError(
            f"{location}: expected a number of at most {MAX_NUMBER_LENGTH} characters, got {len(event.value):,}; {fix}"
        )
    try:
        _CONSTRUCTOR.yaml_constructors[tag](_CONSTRUCTOR, yaml.ScalarNode(tag, event.value))
    except (*VALUE_ERRORS, yaml.YAMLError):
        raise InputError(f"{location}: not valid YAML: {event.value[:100]!r} is not a {kind}; {fix}") from None


def _check_tag(event: Any, location: str, allowed: set[str]) -> None:  # noqa: ANN401 (an event with a tag)
    """Raise `InputError` if a value has the tag of another kind of collection, such as `!!map [a]`."""
    name = (event.tag or "").removeprefix(_TAG)
    if name in _COLLECTION_TAGS - allowed:
        raise InputError(f"{location}: not valid YAML: the value is not a {name}; remove the tag `!!{name}`")
