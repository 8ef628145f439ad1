"""Settings: params.yaml describes the experiment, profiles/<profile>.yaml its scale.

Each section belongs to one folder. It is a pydantic model in the `settings.py` of that folder. A stage loads only the
sections that it uses, so that a new field affects only the stages that use its section. How a section is loaded:

1. Read the file with OmegaConf. A value may refer to another value of the same section: `${train.max_length}`.
2. Check that each section in the file is one that a stage in dvc.yaml depends on.
3. Rename keys that are given by an old name (`renamed`), with a warning.
4. Check the section with its model: unknown keys, types, ranges, and fields that depend on each other.

The errors of all sections that are loaded together are raised at once, one line each: file, key, expected value.
"""

import io
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, overload

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError, model_validator
from pydantic_core import ErrorDetails
from yaml import YAMLError

from alloy.core.dvc import list_watched_sections
from alloy.core.files import InputError, Row, join_errors, require_file
from alloy.core.references import find_bad_references, get_unresolved
from alloy.core.renamed_keys import rename_old_keys
from alloy.core.setting_errors import describe_error, make_error, show_value, suggest_key
from alloy.core.yaml_fix import require_resolved
from alloy.core.yaml_text import VALUE_ERRORS, check_yaml, make_yaml_error

PARAMS, PROFILES = Path("params.yaml"), Path("profiles")
MAX_NAME_LENGTH = 200  # of a file name; most file systems allow 255 bytes
SEED_LIMIT = 2**32  # every random number generator takes seeds below this


class Settings(BaseModel):
    """A part of a section; unknown keys and values of a wrong type are errors.

    `renamed` maps old names of keys to new ones. Old names work in files, with a warning (`alloy.core.renamed_keys`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}


class Section(Settings):
    """A section of params.yaml or, if `in_profile`, of a profile. `key` is its name in the file."""

    key: ClassVar[str]
    in_profile: ClassVar[bool] = False

    @classmethod
    def load(cls, profile: str | None = None, root: str | Path = ".") -> Self:
        """Load this section from the project in `root`; `profile` replaces the profile that params.yaml names."""
        return _load_and_check([cls], profile, Path(root))[0]


class Document(Settings):
    """A whole YAML file of settings, such as the source.yaml of a data set."""

    key: ClassVar[str] = ""

    @classmethod
    def parse(cls, location: str, values: object) -> Self:
        """Return the settings in `values`; the lines of an error begin with `location`, the file."""
        values, errors = rename_old_keys(cls, values, location, "")
        try:
            document = cls.model_validate_json(json.dumps(values, default=str))
        except ValidationError as invalid:
            errors += [f"{location}: {describe_error(cls, error)}" for error in invalid.errors()]
        else:
            if not errors:
                return document
        raise InputError("\n".join(errors))


class ListSection(RootModel[list[str]]):
    """A section that is a list of strings."""

    model_config = ConfigDict(frozen=True, strict=True)
    key: ClassVar[str]
    in_profile: ClassVar[bool] = False

    @classmethod
    def load(cls, profile: str | None = None, root: str | Path = ".") -> Self:
        """Load this section as `Section.load` does."""
        return _load_and_check([cls], profile, Path(root))[0]


class Data(Section):
    """Names of folders under data/, by what their data is used for."""

    key = "data"
    comments: str = "demo"
    general: str = "demo"
    benchmark: str = "demo"
    instructions: str = "demo"
    chat: str = "chat"

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for key, folder in self:
            if not _is_name(folder):
                raise make_error(key, folder, "the name of a folder under data/, such as demo")
        return self


def _is_name(name: str) -> bool:
    """Return whether a name is a valid relative path: not absolute, without `..`, and not too long."""
    parts = name.split("/")
    return all(0 < len(part) < MAX_NAME_LENGTH and part not in (".", "..") and part.isprintable() for part in parts)


class BadRow(Enum):
    """What to do with a bad row: stop with an error, or leave it out and count it."""

    stop = "stop"
    reject = "reject"


class GeneralRows(Section):
    """`on_bad_row`: what to do with general examples that are malformed or that the chat template cannot render."""

    key = "general_rows"
    on_bad_row: BadRow = BadRow.stop


def bad_general_rows(errors: list[str]) -> InputError:
    """Return the error about bad rows of general data; it also says how to leave them out."""
    leave_out = "set general_rows.on_bad_row: reject to leave such rows out"
    if len(errors) == 1:
        return InputError(f"{errors[0]}; or {leave_out}")
    return join_errors(errors, f"correct the rows, or {leave_out}")


A = TypeVar("A", bound=Section | ListSection)
B = TypeVar("B", bound=Section | ListSection)
C = TypeVar("C", bound=Section | ListSection)
D = TypeVar("D", bound=Section | ListSection)


@overload
def load_sections(a: type[A], b: type[B], /) -> tuple[A, B]: ...
@overload
def load_sections(a: type[A], b: type[B], c: type[C], /) -> tuple[A, B, C]: ...
@overload
def load_sections(a: type[A], b: type[B], c: type[C], d: type[D], /) -> tuple[A, B, C, D]: ...
def load_sections(*kinds: Any) -> Any:
    """Load several sections in this order; the errors of all of them are raised together."""
    return tuple(_load_and_check(list(kinds), None, Path()))


def load_all(kinds: list[Any]) -> list[Any]:
    """Load any number of sections in this order, as `load_sections` does."""
    return _load_and_check(kinds, None, Path())


def load_seed(root: str | Path = ".") -> int:
    """Return `seed`, with which the mix is drawn and the model is trained; other seeds show the random variation.

    Stages whose results several runs share have a seed of their own: `model.scratch.seed`, `rehearse.seed`,
    `score.seed`.
    """
    return _load_scalar(Path(root) / PARAMS, "seed", 0)


def load_profile_name(root: str | Path = ".") -> str:
    """Return `profile`, the name of a file in profiles/ that describes the scale of the experiment."""
    return _load_scalar(Path(root) / PARAMS, "profile", "demo")


def _load_scalar(path: Path, key: str, default: Any) -> Any:  # noqa: ANN401 (as the default)
    values = get_unresolved(read_mapping(path))
    if errors := [line for line in _scalar_errors(path, values) if line.startswith(f"{path}: {key}: ")]:
        raise InputError(errors[0])
    return values.get(key, default)


def _scalar_errors(path: Path, values: Row) -> Iterator[str]:
    """Yield an error for each of `seed` and `profile` that is not valid."""
    seed, name = values.get("seed", 0), values.get("profile", "demo")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
        yield f"{path}: seed: expected an integer from 0 to {SEED_LIMIT - 1}, got {show_value(seed)}"
    if not isinstance(name, str) or "${" in name or not _is_name(name):
        yield f"{path}: profile: expected the name of a file in {PROFILES}, without .yaml, got {show_value(name)}"


def _load_and_check(kinds: list[Any], profile: str | None, root: Path) -> list[Any]:
    """Load sections of these classes; all of their errors are raised as one `InputError`."""
    params = root / PARAMS
    files, values = {False: params}, {params: read_mapping(params)}  # by `in_profile`; by file
    errors = list(_scalar_errors(params, get_unresolved(values[params])))
    if any(kind.in_profile for kind in kinds):
        try:
            path = _profile_file(profile or load_profile_name(root), root)
            values[path] = read_mapping(path)
            files[True] = path
        except InputError as error:
            errors.append(str(error))
    errors += _find_unknown_sections(values, params, root)
    loaded = []
    for kind in kinds:
        if path := files.get(kind.in_profile):
            try:
                loaded.append(_load_section(kind, path, values[path]))
            except InputError as error:
                errors += str(error).splitlines()
    if errors:
        raise join_errors(errors)
    return loaded


def _profile_file(name: str, root: Path) -> Path:
    path = root / PROFILES / f"{name}.yaml"
    if not _is_name(name):
        raise InputError(f"profile: expected the name of a file in {PROFILES}, without .yaml, got {show_value(name)}")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise InputError(f"{root / PARAMS}: profile: no such file {path}; known profiles: {known}")
    return path


def _find_unknown_sections(values: dict[Path, DictConfig], params: Path, root: Path) -> Iterator[str]:
    """Yield an error for each section that no stage depends on; without a dvc.yaml, none is unknown."""
    watched = list_watched_sections(root)
    for path, sections in values.items():
        known = watched[path != params]
        for key in sections:
            if known and key not in known:
                yield f"{path}: {key}: unknown section{suggest_key(str(key), sorted(known))}"


def _load_section(kind: Any, path: Path, sections: DictConfig) -> Any:  # noqa: ANN401 (a section, and its class)
    """Return the section of class `kind` among the `sections` of a file; all of its errors make one `InputError`."""
    empty = [] if issubclass(kind, ListSection) else {}
    written = get_unresolved(sections)
    if kind.in_profile and kind.key not in written:  # DVC would report it too, but only when it runs the stage
        required = [name for name, field in kind.model_fields.items() if field.is_required() and name != "root"]
        how = f"`{kind.key}:` with {', '.join(required)}" if required else f"`{kind.key}: {empty}` for its defaults"
        if not required and not _is_valid(kind, empty):
            how = f"`{kind.key}:` as in profiles/demo.yaml"
        raise InputError(f"{path}: {kind.key}: the section is missing; write {how}")
    values = written.get(kind.key)
    if values is None and not kind.in_profile:
        values = empty
    errors = [f"{path}: {line}" for line in find_bad_references(sections, kind.key)]
    if isinstance(values, dict | list) and values and not errors:
        try:
            values = OmegaConf.to_container(sections[kind.key], resolve=True)
        except (OmegaConfBaseException, RecursionError) as error:  # a mapping that contains a reference to itself
            key = getattr(error, "full_key", None) or kind.key
            errors.append(f"{path}: {key}: the reference cannot be resolved, since it contains itself; write the value")
    values, twice = rename_old_keys(kind, values, str(path), kind.key)
    errors += twice
    try:
        section = kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as invalid:
        errors += [
            f"{path}: {describe_error(kind, error)}"
            for error in invalid.errors()
            if not (errors and _has_reference(error))
        ]
    else:
        if not errors:
            return section
    raise InputError("\n".join(errors))


def _is_valid(kind: Any, values: object) -> bool:  # noqa: ANN401 (a class)
    try:
        kind.model_validate(values)
    except ValidationError:
        return False
    return True


def _has_reference(error: ErrorDetails) -> bool:
    """Return whether an error may be due to a reference that was not resolved because another one is bad."""
    return error["type"] != "missing" and "${" in str(error["input"])


def read_mapping(path: Path) -> DictConfig:
    """Return the values in a YAML file; raise `InputError` if it is missing or not a plain mapping."""
    require_file(path, "run this in the project's folder, or write the file with `key: value` lines")
    try:
        text = path.read_text(encoding="utf-8")
        if error := check_yaml(text, path):
            raise error
        values = OmegaConf.load(io.StringIO(text))
    except OSError as error:  # without an errno, OmegaConf means YAML that is not a mapping
        raise InputError(f"{path}: {error.strerror or 'expected `key: value` lines, got other YAML'}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except (OmegaConfBaseException, RecursionError) as error:
        key = getattr(error, "full_key", None)
        location = f"{path}: {key}" if key else path
        raise InputError(f"{location}: {str(error).splitlines()[0]}; write plain `key: value` lines") from None
    except YAMLError as error:
        require_resolved([path])
        raise make_yaml_error(error, path) from None
    except VALUE_ERRORS as error:
        raise InputError(f"{path}: not valid YAML: {error}; quote the value if it is text") from None
    if not isinstance(values, DictConfig) or any(not isinstance(key, str) for key in values):
        raise InputError(f"{path}: expected `key: value` lines with strings as keys")
    return values
