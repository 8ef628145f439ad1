"""Parameters as typed objects: params.yaml is the experiment, profiles/<profile>.yaml its scale.

A key that does not exist, a wrong type or a value out of range raises `InputError` with the file and the key.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError
from yaml import YAMLError

from alloy.core.experiment import Params
from alloy.core.files import InputError
from alloy.core.scale import Profile

KINDS = {  # what belongs at a key of this type, and what to write there
    bool: ("true or false", "one of them"),
    float: ("a number", "one such as 0.25"),
    int: ("a whole number", "one such as 3"),
    list: ("a list", "one such as [a, b]"),
    str: ("a word", "one such as demo"),
}


def load_params(path: str | Path = "params.yaml") -> Params:
    """Return the experiment's parameters."""
    return _load(Path(path), Params)


def load_profile(name: str, folder: str | Path = "profiles") -> Profile:
    """Return the scale named `name`."""
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in Path(folder).glob("*.yaml")))
        raise InputError(f"params.yaml: profile: there is no {path}; known profiles: {known}")
    profile = _load(path, Profile)
    given = OmegaConf.load(path)
    for section in Profile.__annotations__:
        if section not in given:  # DVC would say so, but only when it comes to the stage
            empty = "[]" if section == "general" else "{}"
            raise InputError(f"{path}: {section}: the section is missing; write `{section}: {empty}` for its defaults")
    return profile


def _fields(schema: Any) -> dict[str, Any]:  # noqa: ANN401 (a dataclass)
    """Return what type belongs at each key; `None` beside a type is left out."""
    return {
        name: next(one for one in get_args(kind) if one is not NoneType) if isinstance(kind, UnionType) else kind
        for name, kind in get_type_hints(schema).items()
    }


def _type(schema: Any, key: str) -> Any:  # noqa: ANN401 (types)
    """Return what type belongs at a key such as `train.lora.targets[0]`."""
    for word in re.split(r"[.\[]", key):
        if is_dataclass(schema):
            schema = _fields(schema)[word]
        elif items := get_args(schema):  # a name among weights may have dots of its own
            schema = items[-1]
    return schema


def _misfits(given: DictConfig, schema: Any, above: str = "") -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield key, value and type of what OmegaConf would word badly, or take for something else.

    Below the first level null may stand for a section; for weights it is none of them.
    """
    known = _fields(schema)
    for key, value in list(given.items()):
        kind = known.get(str(key))
        if is_dataclass(kind) and isinstance(value, DictConfig):
            yield from _misfits(value, kind, f"{above}{key}.")
        elif get_origin(kind) is dict and isinstance(value, DictConfig):
            within = get_args(kind)[-1]
            yield from (
                (f"{above}{key}.{name}", one, within) for name, one in value.items() if OmegaConf.is_config(one)
            )
        elif get_origin(kind) is dict and value is None:
            given[key] = {}
        elif (
            (_is_section(kind) and not isinstance(value, DictConfig) and not (above and value is None))
            or (get_origin(kind) is list and not isinstance(value, ListConfig))
            or (kind is bool and not isinstance(value, bool))
        ):
            yield f"{above}{key}", value, kind


def _is_section(kind: Any) -> bool:  # noqa: ANN401 (a type)
    return is_dataclass(kind) or get_origin(kind) is dict


def _wanted(kind: Any) -> tuple[str, str]:  # noqa: ANN401 (a type)
    """Return what belongs at a key, and what to write there."""
    if _is_section(kind):
        return "a section", "`key: value` lines below it"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of its words", " or ".join(word.value for word in kind)
    return KINDS[get_origin(kind) or kind]


def _misfit(value: Any, kind: Any) -> str:  # noqa: ANN401 (anything, and a type)
    """Say that a value is not what belongs there."""
    what, how = _wanted(kind)
    shown = repr(value)  # of OmegaConf's own nodes, too, it is that of what they hold
    return f"{'null' if shown == 'None' else shown} where {what} belongs; write {how}"


def _no_such_key(error: ConfigKeyError) -> str:
    """Say that a key is none, and which one may be meant."""
    section: Any = error.object_type
    known = [field.name for field in fields(section)]
    meant = get_close_matches(str(error.key), known, 1) or known
    return f"there is no such key; write {' or '.join(meant)}"


def _said(error: OmegaConfBaseException, key: str, schema: type) -> str:
    """Say in our words what OmegaConf finds wrong at `key`, and the mend."""
    if isinstance(error, ConfigKeyError):
        return _no_such_key(error)
    if isinstance(error, MissingMandatoryValue):
        what, how = _wanted(_type(schema, key))
        return f"{what} is missing; write {how}"
    if isinstance(error, ValidationError):
        return _misfit(error.value, _type(schema, key))
    return f"{str(error).splitlines()[0]}; write a plain value"


def _load(path: Path, schema: type) -> Any:  # noqa: ANN401 (an instance of `schema`)
    given = _read(path)
    try:
        for key, value, kind in _misfits(given, schema):
            raise InputError(f"{path}: {key}: {_misfit(value, kind)}")
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), given))
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        raise InputError(f"{path}: {key}: {_said(error, key, schema)}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path) -> DictConfig:
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "${" in line.partition("#")[0]:
                refers = "`${` refers to another value, and DVC would not see that change"
                raise InputError(f"{path}:{number}: {refers}; write the value")
        given = OmegaConf.load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:  # without an errno it is OmegaConf's word for YAML that is no mapping
        raise InputError(f"{path}: {error.strerror or 'write `key: value` lines'}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except (OmegaConfBaseException, RecursionError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; write plain `key: value` lines") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{place}: not valid YAML: {reason}") from None
    if not isinstance(given, DictConfig):
        raise InputError(f"{path}: write `key: value` lines")
    return given
