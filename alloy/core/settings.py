"""Settings: params.yaml describes the experiment, profiles/<profile>.yaml its scale.

Each section belongs to one folder. It is a pydantic model in the `settings.py` of that folder. A stage loads only the
sections that it uses, so that a new field affects only the stages that use its section. How a section is loaded:

1. Read the file with OmegaConf. A value may refer to another value of the same section: `${train.max_length}`.
2. Check that each section in the file is one that a stage in dvc.yaml depends on.
3. Check the section with its model: unknown keys, types, ranges, and fields that depend on each other.

The errors of all sections that are loaded together are raised at once, one line each: file, key, what was expected.
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

from alloy.core.dvc import list_watched_sections
from alloy.core.files import InputError, Row, join_errors, require_file
from alloy.core.references import MAX_SIZE, REFERENCE, measure_resolved_size
from alloy.core.yaml_fix import require_resolved
from alloy.core.yaml_text import check_yaml, make_yaml_error

PARAMS, PROFILES = Path("params.yaml"), Path("profiles")
MAX_NAME_LENGTH = 200  # of a file name; most file systems allow 255 bytes
MAX_SHOWN_LENGTH = 100  # characters of a value in an error
SEED_LIMIT = 2**32  # every random number generator takes seeds below this
TYPE_WORDS = {
    bool: "true or false",
    int: "an integer such as 3",
    float: "a number such as 0.25",
    str: "a word such as demo",
}
COLLECTION_WORDS = {list: "a list such as [a, b]", dict: "`key: value` lines below it"}
BOUND_WORDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


class Settings(BaseModel):
    """A part of a section; unknown keys and values of a wrong type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
        try:
            return cls.model_validate_json(json.dumps(values, default=str))
        except ValidationError as invalid:
            raise InputError(
                "\n".join(f"{location}: {_describe_error(cls, error)}" for error in invalid.errors())
            ) from None


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


def profile_name(root: str | Path = ".") -> str:
    """Return `profile`, the name of a file in profiles/ that describes the scale of the experiment."""
    return _load_scalar(Path(root) / PARAMS, "profile", "demo")


def _load_scalar(path: Path, key: str, default: Any) -> Any:  # noqa: ANN401 (as the default)
    values = _as_written(_read_mapping(path))
    if errors := [line for line in _scalar_errors(path, values) if line.startswith(f"{path}: {key}: ")]:
        raise InputError(errors[0])
    return values.get(key, default)


def _scalar_errors(path: Path, values: Row) -> Iterator[str]:
    """Yield an error for each of `seed` and `profile` that is not valid."""
    seed, name = values.get("seed", 0), values.get("profile", "demo")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
        yield f"{path}: seed: expected an integer from 0 to {SEED_LIMIT - 1}, got {_show_value(seed)}"
    if not isinstance(name, str) or "${" in name or not _is_name(name):
        yield f"{path}: profile: expected {TYPE_WORDS[str]}, got {_show_value(name)}"


def make_error(key: str, value: object, expected: str) -> PydanticCustomError:
    """Make the error that a validator raises about `value`; `key` is the field of the model that is validated."""
    shown = _show_value(value.value if isinstance(value, Enum) else value)
    return PydanticCustomError("refused", "refused", {"key": key, "expected": expected, "shown": shown})


def _load_and_check(kinds: list[Any], profile: str | None, root: Path) -> list[Any]:
    """Load sections of these classes; all of their errors are raised as one `InputError`."""
    params = root / PARAMS
    files, values = {False: params}, {params: _read_mapping(params)}  # by `in_profile`; by file
    errors = list(_scalar_errors(params, _as_written(values[params])))
    if any(kind.in_profile for kind in kinds):
        try:
            path = _profile_file(profile or profile_name(root), root)
            values[path] = _read_mapping(path)
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
        raise InputError(f"profile: expected the name of a file in {PROFILES}, without .yaml, got {_show_value(name)}")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise InputError(f"{root / PARAMS}: profile: no such file {path}; known profiles are {known}")
    return path


def _find_unknown_sections(values: dict[Path, DictConfig], params: Path, root: Path) -> Iterator[str]:
    """Yield an error for each section that no stage depends on; without a dvc.yaml, none is unknown."""
    watched = list_watched_sections(root)
    for path, sections in values.items():
        known = watched[path != params]
        for key in sections:
            if known and key not in known:
                yield f"{path}: {key}: unknown section{_suggest_key(str(key), sorted(known))}"


def _suggest_key(key: str, known: list[str]) -> str:
    similar = get_close_matches(key, known, 1)
    return f"; did you mean {similar[0]}?" if similar else f"; known are {', '.join(known)}"


def _load_section(kind: Any, path: Path, sections: DictConfig) -> Any:  # noqa: ANN401 (a section, and its class)
    """Return the section of class `kind` among the `sections` of a file; all of its errors make one `InputError`."""
    empty = [] if issubclass(kind, ListSection) else {}
    written = _as_written(sections)
    if kind.in_profile and kind.key not in written:  # DVC would report it too, but only when it runs the stage
        required = [name for name, field in kind.model_fields.items() if field.is_required() and name != "root"]
        how = f"`{kind.key}:` with {', '.join(required)}" if required else f"`{kind.key}: {empty}` for its defaults"
        if not required and not _is_valid(kind, empty):
            how = f"`{kind.key}:` as in profiles/demo.yaml"
        raise InputError(f"{path}: {kind.key}: the section is missing; write {how}")
    values = written.get(kind.key)
    if values is None and not kind.in_profile:
        values = empty
    errors = [f"{path}: {line}" for line in _bad_references(sections, kind.key)]
    if isinstance(values, dict | list) and values and not errors:
        values = OmegaConf.to_container(sections[kind.key], resolve=True)
    try:
        section = kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as invalid:
        errors += [
            f"{path}: {_describe_error(kind, error)}"
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


def _bad_references(sections: DictConfig, section: str) -> Iterator[str]:
    """Yield an error for each `${..}` in `section` that does not name a value of it.

    References to other sections are not allowed: DVC tracks single sections, and would miss a change there.
    """
    written, known = _as_written(sections), dict[str, int]()
    if measure_resolved_size(written, written.get(section), known) > MAX_SIZE:
        yield f"{section}: holds more than {MAX_SIZE:,} characters when its references are resolved; write the values"
        return
    for key, value in _list_strings(written.get(section), section):
        if "${" not in value:
            continue
        names = REFERENCE.findall(value)
        if "${" in REFERENCE.sub("", value) or not all(re.fullmatch(r"\w[\w.-]*", name) for name in names):
            yield f"{key}: expected a reference such as ${{{section}.key}}, got {value!r}"
        elif others := [name for name in names if not name.startswith(f"{section}.")]:
            yield (
                f"{key}: ${{{others[0]}}} refers to another section, so that DVC would miss a change there; "
                f"refer to a key of {section}, or write the value"
            )
        elif missing := [name for name in names if not _reference_exists(sections, name)]:
            yield f"{key}: ${{{missing[0]}}} does not exist; refer to another key of {section}, or write the value"


def _reference_exists(sections: DictConfig, name: str) -> bool:
    missing = object()
    try:
        return OmegaConf.select(sections, name, default=missing) is not missing
    except (OmegaConfBaseException, RecursionError):
        return False


def _has_reference(error: ErrorDetails) -> bool:
    """Return whether an error may be due to a reference that was not resolved because another one is bad."""
    return error["type"] != "missing" and "${" in str(error["input"])


def _list_strings(values: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (whatever YAML holds)
    """Yield the key and value of each string in `values`, such as (`train.optimizer`, `adamw`)."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _list_strings(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _list_strings(value, f"{key}[{index}]")
    elif isinstance(values, str):
        yield key, values


def _describe_error(kind: Any, error: ErrorDetails) -> str:  # noqa: ANN401 (a class)
    """Return `key: what was expected, what was found` for an error of pydantic."""
    field = error.get("ctx", {}).get("key", "") if error["type"] == "refused" else ""
    location = [*error["loc"], *([field] if field else [])]
    key = kind.key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    key = key.removeprefix(".")  # a document has no key
    if error["type"] == "extra_forbidden":
        return (
            f"{key}: unknown key{_suggest_key(str(location[-1]), list(_find_model(kind, location[:-1]).model_fields))}"
        )
    if error["type"] == "refused":
        context = error.get("ctx", {})
        return f"{key}: expected {context['expected']}, got {context['shown']}"
    expected = _describe_expected(kind, location)
    if error["type"] == "missing":
        return f"{key}: missing; expected {expected}"
    return f"{key}: expected {expected}, got {_show_value(error['input'])}"


def _without_none(annotation: Any) -> Any:  # noqa: ANN401 (types)
    """Return the type `X` of an annotation `X | None`."""
    if get_origin(annotation) in (UnionType, Union):
        return next(argument for argument in get_args(annotation) if argument is not NoneType)
    return annotation


def _find_model(kind: Any, location: list[Any]) -> Any:  # noqa: ANN401 (classes)
    """Return the model at a location below a section."""
    for part in location:
        kind = _without_none(kind.model_fields[part].annotation)
    return kind


def _describe_expected(kind: Any, location: list[Any]) -> str:  # noqa: ANN401 (a class, and names)
    """Return which value is expected at a location below a section, with its bounds."""
    field: FieldInfo | None = None
    annotation: Any = kind
    may_be_null = False
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            field = annotation.model_fields[part]
            annotation = field.annotation
            may_be_null = NoneType in get_args(annotation)
        elif isinstance(annotation, type) and issubclass(annotation, ListSection):
            annotation = str
            field, may_be_null = None, False
        else:  # an item of a list or a mapping
            annotation = get_args(annotation)[-1]
            field, may_be_null = None, False
        annotation = _without_none(annotation)
    return _describe_type(annotation, field) + (" or null" if may_be_null else "")


def _describe_type(annotation: Any, field: FieldInfo | None) -> str:  # noqa: ANN401 (a type)
    if isinstance(annotation, type) and issubclass(annotation, ListSection):
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
    return f"{TYPE_WORDS[base_type].partition(' such')[0]} {' and '.join(bounds)}" if bounds else TYPE_WORDS[base_type]


def _show_value(value: object) -> str:
    """Return a value as in YAML, on one line, without control characters, and cut off if it is long."""
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= MAX_SHOWN_LENGTH else f"{shown[:MAX_SHOWN_LENGTH]}.."


def _as_written(values: DictConfig) -> Row:
    """Return values without resolving the references in them."""
    written: Any = OmegaConf.to_container(values, resolve=False)
    return written


def _read_mapping(path: Path) -> DictConfig:
    """Return the values in a YAML file; raise `InputError` if it is missing or not a plain mapping."""
    require_file(path, "run this in the project's folder, or write the file with `key: value` lines")
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, path)
        values = OmegaConf.load(io.StringIO(text))
    except OSError as error:  # without an errno, OmegaConf means YAML that is not a mapping
        raise InputError(f"{path}: {error.strerror or 'expected `key: value` lines, found other YAML'}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except (OmegaConfBaseException, RecursionError) as error:
        key = getattr(error, "full_key", None)
        location = f"{path}: {key}" if key else path
        raise InputError(f"{location}: {str(error).splitlines()[0]}; write plain `key: value` lines") from None
    except YAMLError as error:
        require_resolved([path])
        raise make_yaml_error(error, path) from None
    if not isinstance(values, DictConfig) or any(not isinstance(key, str) for key in values):
        raise InputError(f"{path}: expected `key: value` lines with words as keys")
    return values
