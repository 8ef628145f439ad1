"""Describe what is wrong with a setting: the expected value, the value that it has, and how to fix it.

Example: `params.yaml: mix.ratio: expected a number of at least 0 and at most 1, got 20`. `alloy.core.settings` adds the
file.
"""

from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

MAX_SHOWN_LENGTH = 100  # characters of a value in an error
TYPE_WORDS = {
    bool: "true or false",
    int: "an integer such as 3",
    float: "a number such as 0.25",
    str: "text",
}
COLLECTION_WORDS = {list: "a list such as [a, b]", dict: "`key: value` lines below it"}
BOUND_WORDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


def make_error(key: str, value: object, expected: str, fix: str = "") -> PydanticCustomError:
    """Make the error that a validator raises about `value`; `key` is the field of the model that is validated.

    The message is `expected X, got Y; fix`. `fix` is the reason or what to do.
    """
    shown = show_value(value.value if isinstance(value, Enum) else value)
    end = f"; {fix}" if fix else ""
    return PydanticCustomError("refused", "refused", {"key": key, "message": f"expected {expected}, got {shown}{end}"})


def describe_error(kind: Any, error: ErrorDetails) -> str:  # noqa: ANN401 (a class)
    """Return `key: expected X, got Y` for an error of pydantic; without a key for a whole document."""
    field = error.get("ctx", {}).get("key", "") if error["type"] == "refused" else ""
    location = [*error["loc"], *([field] if field else [])]
    key = kind.key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    prefix = f"{key.removeprefix('.')}: " if key else ""
    if error["type"] == "extra_forbidden":
        known = list(_find_model(kind, location[:-1]).model_fields)
        return f"{prefix}unknown key{suggest_key(str(location[-1]), known)}"
    if error["type"] == "refused":
        return f"{prefix}{error.get('ctx', {})['message']}"
    expected = _describe_expected(kind, location)
    if error["type"] == "missing":
        return f"{prefix}missing; {'add it' if expected == TYPE_WORDS[str] else f'expected {expected}'}"
    return f"{prefix}expected {expected}, got {show_value(error['input'])}"


def without_none(annotation: Any) -> Any:  # noqa: ANN401 (types)
    """Return the type `X` of an annotation `X | None`."""
    if get_origin(annotation) in (UnionType, Union):
        return next(argument for argument in get_args(annotation) if argument is not NoneType)
    return annotation


def _find_model(kind: Any, location: list[Any]) -> Any:  # noqa: ANN401 (classes)
    """Return the model at a location below a section."""
    for part in location:
        kind = without_none(kind.model_fields[part].annotation)
    return kind


def _describe_expected(kind: Any, location: list[Any]) -> str:  # noqa: ANN401 (a class, and names)
    """Return which value is expected at a location below a section, with its bounds."""
    field: FieldInfo | None = None
    annotation: Any = kind
    may_be_null = False
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, RootModel):
            annotation = str
            field, may_be_null = None, False
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields[part]
            annotation = field.annotation
            may_be_null = NoneType in get_args(annotation)
        else:  # an item of a list or a mapping
            annotation = get_args(annotation)[-1]
            field, may_be_null = None, False
        annotation = without_none(annotation)
    return _describe_type(annotation, field) + (" or null" if may_be_null else "")


def _describe_type(annotation: Any, field: FieldInfo | None) -> str:  # noqa: ANN401 (a type)
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return COLLECTION_WORDS[list]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(member.value for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return COLLECTION_WORDS[dict]
    base_type = get_origin(annotation) or annotation
    if base_type in COLLECTION_WORDS:
        return COLLECTION_WORDS[base_type]
    bounds = [
        words.format(f"{getattr(bound, name):g}" if base_type is float else getattr(bound, name))
        for bound in (field.metadata if field else [])
        for name, words in BOUND_WORDS.items()
        if hasattr(bound, name)
    ]
    if not bounds:
        return TYPE_WORDS[base_type]
    name, of = TYPE_WORDS[base_type].partition(" such")[0], " of" if bounds[0].startswith("at ") else ""
    return f"{name}{of} {' and '.join(bounds)}"


def show_value(value: object) -> str:
    """Return a value as in YAML, on one line, without control characters, and cut off if it is long."""
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= MAX_SHOWN_LENGTH else f"{shown[:MAX_SHOWN_LENGTH]}..."


def suggest_key(key: str, known: list[str]) -> str:
    """Return the end of an error about an unknown key: the most similar known key, or all of them."""
    similar = get_close_matches(key, known, 1)
    return f"; did you mean {similar[0]}?" if similar else f"; known keys: {', '.join(known)}"
