"""Parameters as typed objects: params.yaml is the experiment, profiles/<profile>.yaml its scale.

A key that does not exist, a wrong type or a value out of range raises `InputError` with the file and the key.
"""

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from stages.experiment import Params
from stages.records import InputError
from stages.scale import Profile


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


def _not_sections(given: DictConfig, known: DictConfig, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key and value of what is no section and should be one; below the first level, null may stand for one."""
    for key, value in given.items():
        node = known._get_node(key) if key in known else None
        if isinstance(node, DictConfig) and isinstance(value, DictConfig):
            yield from _not_sections(value, node, f"{above}{key}.")
        elif isinstance(node, DictConfig) and not (above and value is None):
            yield f"{above}{key}", value


def _no_such_key(error: ConfigKeyError) -> str:
    """Say that a key is none, and which one may be meant."""
    section: Any = error.object_type
    known = [field.name for field in fields(section)]
    meant = get_close_matches(str(error.key), known, 1) or known
    return f"there is no such key; write {' or '.join(meant)}"


def _load(path: Path, schema: type) -> Any:  # noqa: ANN401 (an instance of `schema`)
    try:
        given = OmegaConf.load(path)
        if not isinstance(given, DictConfig):
            raise InputError(f"{path}: write `key: value` lines")
        known = OmegaConf.structured(schema)
        for key, value in _not_sections(given, known):
            raise InputError(f"{path}: {key}: {value!r} where a section belongs; write `key: value` lines below it")
        return OmegaConf.to_object(OmegaConf.merge(known, given))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:  # without an errno it is OmegaConf's word for YAML that is no mapping
        raise InputError(f"{path}: {error.strerror or 'write `key: value` lines'}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{place}: not valid YAML: {reason}") from None
    except ConfigKeyError as error:
        raise InputError(f"{path}: {error.full_key}: {_no_such_key(error)}") from None
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        raise InputError(f"{path}: {key}: {str(error.msg or error).splitlines()[0]}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
