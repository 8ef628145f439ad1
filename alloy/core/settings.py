"""Settings: params.yaml holds the experiment, profiles/<profile>.yaml its scale. Each section belongs to one folder.

A section is a pydantic model in its owner's `settings.py`; a stage loads the sections that it uses and no others, so
that a new field concerns only the stages that use its section. How a section is loaded:

1. Read the file with OmegaConf. A value may refer to another one of the same section: `${train.max_length}`.
2. Check the names of all sections against those that dvc.yaml watches.
3. Check the section with its model: unknown keys, types, ranges, and what several fields say together.

All errors of all sections that are loaded together are raised at once, one line each: file, key, what was expected.
"""

import io
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, Union, get_args, get_origin, overload

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from yaml import YAMLError

from alloy.core.dvc import watched_sections
from alloy.core.files import InputError, Row, join_errors, require_file
from alloy.core.references import LARGEST, REFERENCE, followed_size
from alloy.core.yaml_fix import require_resolved
from alloy.core.yaml_text import check_yaml, yaml_fault

PARAMS, PROFILES = Path("params.yaml"), Path("profiles")
LONGEST = 200  # characters of a file's name; most file systems take 255 bytes
SHOWN = 100  # characters of a value that are shown in an error
SEEDS = 2**32  # every random generator takes seeds below this
TYPES = {bool: "true or false", int: "an integer such as 3", float: "a number such as 0.25", str: "a word such as demo"}
PLURALS = {list: "a list such as [a, b]", dict: "`key: value` lines below it"}
BOUNDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


class Settings(BaseModel):
    """A part of a section: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Section(Settings):
    """A section of params.yaml, or of a profile: `in_profile`. `key` is its name there."""

    key: ClassVar[str]
    in_profile: ClassVar[bool] = False

    @classmethod
    def load(cls, profile: str | None = None, root: str | Path = ".") -> Self:
        """Return this section; `profile` is another one than params.yaml names, `root` the project's folder."""
        return _load([cls], profile, Path(root))[0]


class Document(Settings):
    """A whole YAML file of settings, such as a data set's source.yaml."""

    key: ClassVar[str] = ""

    @classmethod
    def parse(cls, place: str, values: object) -> Self:
        """Return the settings in `values`; each error gets a line that begins with `place`, the file."""
        try:
            return cls.model_validate_json(json.dumps(values, default=str))
        except ValidationError as found:
            raise InputError("\n".join(f"{place}: {_line(cls, error)}" for error in found.errors())) from None


class ListSection(RootModel[list[str]]):
    """A section that is a list of words."""

    model_config = ConfigDict(frozen=True, strict=True)
    key: ClassVar[str]
    in_profile: ClassVar[bool] = False

    @classmethod
    def load(cls, profile: str | None = None, root: str | Path = ".") -> Self:
        """Return this section, as `Section.load` does."""
        return _load([cls], profile, Path(root))[0]


class Data(Section):
    """Folders under data/, by what their data is for; DVC and the stages look for them there alone."""

    key = "data"
    comments: str = "demo"
    general: str = "demo"
    benchmark: str = "demo"
    instructions: str = "demo"
    chat: str = "chat"

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, folder in self:
            if not _is_name(folder):
                raise refuse(key, folder, "the name of a folder under data/, such as demo")
        return self


def _is_name(given: str) -> bool:
    """Say whether it is a path below a folder that can be: not above it, not from the root, not too long."""
    parts = given.split("/")
    return all(0 < len(part) < LONGEST and part not in (".", "..") and part.isprintable() for part in parts)


class BadRow(Enum):
    """What is done with a row that cannot be used: stop, or leave it out and count it."""

    stop = "stop"
    reject = "reject"


class GeneralRows(Section):
    """General examples that are malformed, or that the chat template of the base model cannot render: `on_bad_row`."""

    key = "general_rows"
    on_bad_row: BadRow = BadRow.stop


def bad_general_rows(errors: list[str]) -> InputError:
    """Return the error of the bad rows of general data, which also says how to leave them out."""
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
    """Return several sections in their order; all that is wrong in any of them is raised together."""
    return tuple(_load(list(kinds), None, Path()))


def load_all(kinds: list[Any]) -> list[Any]:
    """Return sections of any number in their order, as `load_sections` does."""
    return _load(kinds, None, Path())


def load_seed(root: str | Path = ".") -> int:
    """Return `seed`, by which the mix is drawn and the model trained; repeat a run with others to see their luck.

    What runs share has a seed of its own: `model.scratch.seed`, `rehearse.seed`, `score.seed`.
    """
    return _scalar(Path(root) / PARAMS, "seed", 0)


def profile_name(root: str | Path = ".") -> str:
    """Return `profile`: the scale of the experiment is profiles/<profile>.yaml."""
    return _scalar(Path(root) / PARAMS, "profile", "demo")


def _scalar(path: Path, key: str, default: Any) -> Any:  # noqa: ANN401 (as the default)
    given = _as_written(_read(path))
    if errors := [line for line in _scalar_errors(path, given) if line.startswith(f"{path}: {key}: ")]:
        raise InputError(errors[0])
    return given.get(key, default)


def _scalar_errors(path: Path, given: Row) -> Iterator[str]:
    """Yield what is wrong with the values of params.yaml that are no sections."""
    seed, name = given.get("seed", 0), given.get("profile", "demo")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:
        yield f"{path}: seed: expected an integer from 0 to {SEEDS - 1}, got {_shown(seed)}"
    if not isinstance(name, str) or "${" in name or not _is_name(name):
        yield f"{path}: profile: expected {TYPES[str]}, got {_shown(name)}"


def refuse(key: str, given: object, expected: str) -> PydanticCustomError:
    """Return the error of a model's own check: `key` is that of the field, below the model."""
    shown = _shown(given.value if isinstance(given, Enum) else given)
    return PydanticCustomError("refused", "refused", {"key": key, "expected": expected, "shown": shown})


def _load(kinds: list[Any], profile: str | None, root: Path) -> list[Any]:
    """Return sections of these kinds; what is wrong in all of them makes one `InputError`."""
    params = root / PARAMS
    files, given = {False: params}, {params: _read(params)}
    errors = list(_scalar_errors(params, _as_written(given[params])))
    if any(kind.in_profile for kind in kinds):
        try:
            path = _profile_file(profile or profile_name(root), root)
            given[path] = _read(path)
            files[True] = path
        except InputError as error:
            errors.append(str(error))
    errors += _unknown(given, params, root)
    loaded = []
    for kind in kinds:
        if path := files.get(kind.in_profile):
            try:
                loaded.append(_section(kind, path, given[path]))
            except InputError as error:
                errors += str(error).splitlines()
    if errors:
        raise join_errors(errors)
    return loaded


def _profile_file(name: str, root: Path) -> Path:
    path = root / PROFILES / f"{name}.yaml"
    if not _is_name(name):
        raise InputError(f"profile: expected the name of a file in {PROFILES} without .yaml, got {_shown(name)}")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise InputError(f"{root / PARAMS}: profile: there is no {path}; known profiles: {known}")
    return path


def _unknown(given: dict[Path, DictConfig], params: Path, root: Path) -> Iterator[str]:
    """Yield a line for each section that no stage watches; without a dvc.yaml none can be told."""
    watched = watched_sections(root)
    for path, values in given.items():
        known = watched[path != params]
        for key in values:
            if known and key not in known:
                yield f"{path}: {key}: unknown section{_meant(str(key), sorted(known))}"


def _meant(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _section(kind: Any, path: Path, given: DictConfig) -> Any:  # noqa: ANN401 (a section, and its class)
    empty = [] if issubclass(kind, ListSection) else {}
    written = _as_written(given)
    if kind.in_profile and kind.key not in written:  # DVC would say so, but only when it comes to the stage
        needed = [name for name, field in kind.model_fields.items() if field.is_required() and name != "root"]
        how = f"`{kind.key}:` with {', '.join(needed)}" if needed else f"`{kind.key}: {empty}` for its defaults"
        if not needed and not _is_valid(kind, empty):
            how = f"`{kind.key}:` as profiles/demo.yaml has it"
        raise InputError(f"{path}: {kind.key}: the section is missing; write {how}")
    values = written.get(kind.key)
    if values is None and not kind.in_profile:
        values = empty
    errors = [f"{path}: {line}" for line in _bad_references(given, kind.key)]
    if isinstance(values, dict | list) and values and not errors:
        values = OmegaConf.to_container(given[kind.key], resolve=True)
    try:
        section = kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as found:
        errors += [f"{path}: {_line(kind, error)}" for error in found.errors() if not (errors and _unresolved(error))]
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


def _bad_references(given: DictConfig, section: str) -> Iterator[str]:
    """Yield a line for each `${..}` below `section` that names no value of it: DVC watches sections one by one."""
    written, known = _as_written(given), dict[str, int]()
    if followed_size(written, written.get(section), known) > LARGEST:
        yield f"{section}: holds more than {LARGEST:,} characters once its references are followed; write the values"
        return
    for key, value in _strings(written.get(section), section):
        if "${" not in value:
            continue
        names = REFERENCE.findall(value)
        if "${" in REFERENCE.sub("", value) or not all(re.fullmatch(r"\w[\w.-]*", name) for name in names):
            yield f"{key}: expected a reference such as ${{{section}.key}}, got {value!r}"
        elif others := [name for name in names if not name.startswith(f"{section}.")]:
            yield (
                f"{key}: ${{{others[0]}}} refers to another section, and DVC would not see that value change; "
                f"refer to a key of {section}, or write the value"
            )
        elif nowhere := [name for name in names if not _leads_somewhere(given, name)]:
            yield f"{key}: ${{{nowhere[0]}}} leads to no value; refer to another key of {section}, or write the value"


def _leads_somewhere(given: DictConfig, name: str) -> bool:
    nothing = object()
    try:
        return OmegaConf.select(given, name, default=nothing) is not nothing
    except (OmegaConfBaseException, RecursionError):
        return False


def _unresolved(error: ErrorDetails) -> bool:
    """Say whether an error may be due to a reference that was not followed, since another one is bad."""
    return error["type"] != "missing" and "${" in str(error["input"])


def _strings(values: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (whatever YAML holds)
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _strings(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _strings(value, f"{key}[{number}]")
    elif isinstance(values, str):
        yield key, values


def _line(kind: Any, error: ErrorDetails) -> str:  # noqa: ANN401 (a class)
    """Return `key: what was expected` of one of pydantic's errors."""
    own = error.get("ctx", {}).get("key", "") if error["type"] == "refused" else ""
    words = [*error["loc"], *([own] if own else [])]
    key = kind.key + "".join(f"[{word}]" if isinstance(word, int) else f".{word}" for word in words)
    key = key.removeprefix(".")  # of a document
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{_meant(str(words[-1]), list(_model(kind, words[:-1]).model_fields))}"
    if error["type"] == "refused":
        context = error.get("ctx", {})
        return f"{key}: expected {context['expected']}, got {context['shown']}"
    expected = _expected(kind, words)
    if error["type"] == "missing":
        return f"{key}: missing; expected {expected}"
    return f"{key}: expected {expected}, got {_shown(error['input'])}"


def _plain(annotation: Any) -> Any:  # noqa: ANN401 (types)
    """Return a type without `None` beside it."""
    if get_origin(annotation) in (UnionType, Union):
        return next(one for one in get_args(annotation) if one is not NoneType)
    return annotation


def _model(kind: Any, words: list[Any]) -> Any:  # noqa: ANN401 (classes)
    """Return the model at a place below a section."""
    for word in words:
        kind = _plain(kind.model_fields[word].annotation)
    return kind


def _expected(kind: Any, words: list[Any]) -> str:  # noqa: ANN401 (a class, and names)
    """Return what belongs at a place below a section, with the bounds that it has."""
    field: FieldInfo | None = None
    annotation: Any = kind
    null = False
    for word in words:
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            field = annotation.model_fields[word]
            annotation = field.annotation
            null = NoneType in get_args(annotation)
        elif isinstance(annotation, type) and issubclass(annotation, ListSection):
            annotation = str
            field, null = None, False
        else:  # an item of a list or a mapping
            annotation = get_args(annotation)[-1]
            field, null = None, False
        annotation = _plain(annotation)
    return _named(annotation, field) + (" or null" if null else "")


def _named(annotation: Any, field: FieldInfo | None) -> str:  # noqa: ANN401 (a type)
    if isinstance(annotation, type) and issubclass(annotation, ListSection):
        return PLURALS[list]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(member.value for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return PLURALS[dict]
    plain = get_origin(annotation) or annotation
    if plain in PLURALS:
        return PLURALS[plain]
    bounds = [
        words.format(f"{getattr(mark, name):g}" if plain is float else getattr(mark, name))
        for mark in (field.metadata if field else [])
        for name, words in BOUNDS.items()
        if hasattr(mark, name)
    ]
    return f"{TYPES[plain].partition(' such')[0]} {' and '.join(bounds)}" if bounds else TYPES[plain]


def _shown(value: object) -> str:
    """Return a value as YAML has it, on one line and without control characters."""
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}.."


def _as_written(given: DictConfig) -> Row:
    """Return values with the references in them as they are."""
    written: Any = OmegaConf.to_container(given, resolve=False)
    return written


def _read(path: Path) -> DictConfig:
    """Return the values in a file; one that is missing or no plain YAML mapping raises."""
    require_file(path, "the project's folder has one; write it with `key: value` lines")
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, path)
        given = OmegaConf.load(io.StringIO(text))
    except OSError as error:  # without an errno it is OmegaConf's word for YAML that is no mapping
        raise InputError(
            f"{path}: {error.strerror or 'expected `key: value` lines, found other YAML; write sections'}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except (OmegaConfBaseException, RecursionError) as error:
        key = getattr(error, "full_key", None)
        place = f"{path}: {key}" if key else path
        raise InputError(f"{place}: {str(error).splitlines()[0]}; write plain `key: value` lines") from None
    except YAMLError as error:
        require_resolved([path])
        raise yaml_fault(error, path) from None
    if not isinstance(given, DictConfig) or any(not isinstance(key, str) for key in given):
        raise InputError(f"{path}: expected `key: value` lines; write words as keys")
    return given
