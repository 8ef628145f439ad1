"""Malformed settings for `benchmarks/bad_inputs.py`: params.yaml, profiles, as YAML and value by value."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from alloy.baseline.settings import Svm
from alloy.comparison.settings import Gate
from alloy.core.settings import ListSection, Section, Settings
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Mmlu
from alloy.inference.settings import Infer
from alloy.labeling.settings import Prompt
from alloy.mixing.settings import Mix, Rehearse
from alloy.modeling.settings import Interpolate
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import Model, Train
from benchmarks.bad_case import (
    MISSING,
    Case,
    Edit,
    list_bad_bytes,
    list_not_a_file,
    replace_text,
    rewrite_file,
    set_json_value,
    write_file,
)

PARAMS, PROFILE = "params.yaml", "profiles/smoke.yaml"
READERS: dict[type[Section | ListSection], tuple[str, ...]] = {
    Split: ("stages.split",),
    Decontaminate: ("stages.decontaminate",),
    Rehearse: ("stages.rehearse",),
    Mix: ("stages.mix",),
    Interpolate: ("stages.interpolate",),
    Prompt: ("stages.mix",),
    Svm: ("stages.svm",),
    Score: ("stages.score", "tuned"),
    Gate: ("stages.gate",),
    Model: ("stages.base",),
    Train: ("stages.train",),
    Infer: ("stages.infer", "tuned"),
    Harness: ("stages.mmlu", "base"),
    Mmlu: ("stages.mmlu", "base"),
    Ifeval: ("stages.ifeval", "base"),
    GeneralTasks: ("stages.general", "base"),
    Chat: ("stages.chat", "base"),
    GeneralLoss: ("stages.general_loss",),
}
NUMBERS = {"nan": ".nan", "infinity": ".inf", "a negative number": -1, "a text": "many", "a list": [1], "true": True}


def set_value(file: str, path: list[Any], value: object) -> Edit:
    """Set a value of a YAML file; `MISSING` removes it."""

    def change(content: bytes) -> bytes:
        values = yaml.safe_load(content)
        parent = values
        for key in path[:-1]:  # sections may be null or missing
            parent[key] = parent.get(key) or {}
            parent = parent[key]
        text = yaml.safe_dump(set_json_value(values, path, value), allow_unicode=True)
        return text.replace("'.nan'", ".nan").replace("'.inf'", ".inf").encode()

    return rewrite_file(file, change)


def list_wrong_values(annotation: Any) -> dict[str, object]:  # noqa: ANN401 (a type)
    """Return values that a field of this type refuses, by their description."""
    kinds = [one for one in get_args(annotation) if one is not NoneType] if NoneType in get_args(annotation) else []
    plain = kinds[0] if kinds else annotation
    null: dict[str, object] = {} if kinds else {"null": None}
    if isinstance(plain, type) and issubclass(plain, Enum):
        return {**null, "no such choice": "maybe", "a number": 3}
    if plain is bool:
        return {**null, "a text": "perhaps", "a number": 1}
    if plain in (int, float):
        return {**null, **NUMBERS}
    if plain is str:
        return {**null, "a number": 3, "a list": ["x"]}
    if get_origin(plain) is list:
        return {**null, "a text": "x", "a list of numbers": [3]}
    return {"a text": "x", "a list": ["x"]}


def walk_keys(kind: type[BaseModel], path: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    """Yield the path and the type of each field of a section, including fields of nested sections."""
    for name, field in kind.model_fields.items():
        yield [*path, name], field.annotation
        inner = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        for one in inner:
            if issubclass(one, Settings) and name != "wheel" and path != ["model", "scratch"]:  # as `train` itself
                yield from walk_keys(one, [*path, name])


def list_value_cases() -> Iterator[Case]:
    """Yield wrong values of every field of every section."""
    for kind, command in READERS.items():
        file = PROFILE if kind.in_profile else PARAMS
        section = [kind.key]
        for what, value in {"a text": "x", "a number": 3, "a list of lists": [["x"]]}.items():
            yield Case(file, f"{kind.key}: {what}", set_value(file, section, value), command, f"{file}: {kind.key}")
        if kind.in_profile:
            edit = set_value(file, section, MISSING)
            yield Case(file, f"{kind.key}: missing", edit, command, f"{file}: {kind.key}")
        if issubclass(kind, ListSection):
            continue
        edit = set_value(file, [kind.key, "unknown_key"], 1)
        yield Case(file, f"{kind.key}: an unknown key", edit, command, f"{file}: {kind.key}.unknown_key")
        for path, annotation in walk_keys(kind, section):
            name = ".".join(path)
            for what, value in list_wrong_values(annotation).items():
                yield Case(file, f"{name}: {what}", set_value(file, path, value), command, f"{file}: {kind.key}")


def list_conflicting_cases() -> Iterator[Case]:
    """Yield values that are valid separately but not together, and values out of bounds."""
    given: list[tuple[type[Section | ListSection], dict[str, Any], str]] = [
        (Mix, {"ratio": 1.5}, "mix.ratio"),
        (Mix, {"budget": "total"}, "mix.total"),
        (Mix, {"total": 10}, "mix.total"),
        (Mix, {"sources": {"no_such_source": 1}, "ratio": 0.2}, "no_such_source"),
        (Mix, {"sources": {"math": -1}}, "mix.sources"),
        (Mix, {"sources": {"math": 0}}, "mix.sources"),
        (Mix, {"ratio": 1.0}, ""),
        (Mix, {"ratio": 0.99}, "mix.ratio"),
        (Split, {"test": 0}, "split.test"),
        (Split, {"test": 1}, "split.test"),
        (Split, {"near_duplicate_threshold": 0.1}, "split.near_duplicate_threshold"),
        (Score, {"head": 5, "tail": 10}, "score.head"),
        (Score, {"resamples": 10**9}, "score.resamples"),
        (Gate, {"mmlu": {"accuracy": 0.1}}, "gate.mmlu.accuracy"),
        (Gate, {"mmlu": {"acc": "2%"}}, "gate.mmlu.acc"),
        (Gate, {"leak": 2}, "gate.leak"),
        (Prompt, {"examples": 10**6}, "prompt.examples"),
        (Svm, {"c": 0}, "svm.c"),
        (Model, {"hub": "org/model"}, "model"),
        (Model, {"scratch": None}, "model"),
        (Model, {"scratch": None, "hub": "org/model"}, "model.revision"),
        (Model, {"scratch": None, "path": "no/such/folder"}, "no/such/folder"),
        (Model, {"scratch": None, "gguf": "README.md"}, "README.md"),
        (Model, {"scratch": None, "hosted": ""}, "model.hosted"),
        (Train, {"optimizer": "muon", "method": "lora"}, "train.optimizer"),
        (Train, {"lora": {"targets": []}}, "train.lora.targets"),
        (Train, {"lr": 3}, "train.lr"),
        (Train, {"max_length": 1}, "train.max_length"),
        (Train, {"max_length": 10**6}, "train.max_length"),
        (Mmlu, {"fewshot": 1000}, "mmlu.fewshot"),
        (Mmlu, {"answer": "letter"}, "mmlu.answer"),
        (GeneralLoss, {"max_length": 1}, "general_loss.max_length"),
    ]
    for kind, extra, location in given:
        file, command = (PROFILE if kind.in_profile else PARAMS), READERS[kind]

        def change(content: bytes, kind: Any = kind, extra: dict[str, Any] = extra) -> bytes:  # noqa: ANN401
            whole = yaml.safe_load(content)
            whole[kind.key] = {**(whole.get(kind.key) or {}), **extra}
            return yaml.safe_dump(whole).encode()

        accepted = not location
        yield Case(file, f"{kind.key}: {extra}", rewrite_file(file, change), command, location, accepted)
    tasks = set_value(PROFILE, ["general"], ["no_such_task"])
    yield Case(PROFILE, "general: no such task", tasks, READERS[GeneralTasks], f"{PROFILE}: general")


def list_scalar_cases() -> Iterator[Case]:
    """Yield wrong values of `seed`, `profile` and `data`."""
    seeds = {"missing quotes": "one", "negative": -1, "a fraction": 0.5, "too large": 2**32, "true": True, "null": None}
    for what, value in seeds.items():
        yield Case(PARAMS, f"seed: {what}", set_value(PARAMS, ["seed"], value), ("stages.mix",), "params.yaml: seed")
    names = {"no such file": "nowhere", "a path": "../smoke", "a number": 3, "null": None, "empty": "", "a list": ["x"]}
    for what, value in {**names, "a line break": "smoke\n", "NUL": "a\0b", "long": "x" * 5000}.items():
        edit = set_value(PARAMS, ["profile"], value)
        yield Case(PARAMS, f"profile: {what}", edit, ("stages.train",), "params.yaml: profile")
    for key in ("comments", "general", "benchmark", "instructions", "chat"):
        command = ("stages.prepare", key)
        for what, value in {"no such folder": "nowhere", "a number": 2024, "null": None, "empty": ""}.items():
            location = "data/nowhere" if value == "nowhere" else f"params.yaml: data.{key}"
            yield Case(PARAMS, f"data.{key}: {what}", set_value(PARAMS, ["data", key], value), command, location)
    for what, value in {
        "a path upwards": "../secret",
        "an absolute path": "/etc",
        "NUL": "a\0b",
        "long": "x" * 5000,
    }.items():
        edit = set_value(PARAMS, ["data", "comments"], value)
        yield Case(PARAMS, f"data.comments: {what}", edit, ("stages.prepare", "comments"), "")
    for key in ("data", "seed", "profile", "split", "gate"):
        yield Case(
            PARAMS, f"{key}: misspelled", replace_text(PARAMS, f"\n{key}:", f"\n{key}s:"), ("stages.split",), f"{key}s"
        )


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
# YAML that is appended to the file. True: the file is still accepted.
APPENDED = {
    "a key twice": ("split: {test: 0.2}\nsplit: {test: 0.3}\n", False),
    "a tab as indentation": ("split:\n\ttest: 0.2\n", False),
    "an unclosed bracket": ("split: {test: 0.2\n", False),
    "an unclosed quote": ('more: "x\n', False),
    "a Python object": ("more: !!python/object/apply:os.system ['touch harm']\n", False),
    "an unknown tag": ("more: !secret x\n", False),
    "an anchor without an end": ("more: *nowhere\n", False),
    "an anchor in itself": ("more: &more [*more]\n", False),
    "anchors that double nine times": (LAUGHS, False),
    "nested a thousand deep": (f"more: {'[' * 1000}{']' * 1000}\n", False),
    "nested a hundred thousand deep": (f"more: {'[' * 100_000}\n", False),
    "a second document": ("---\nsplit: {test: 0.2}\n", False),
    "a list": ("- more\n", False),
    "a number as a key": ("3: x\n", False),
    "null as a key": ("~: x\n", False),
    "a list as a key": ("? [a, b]\n: x\n", False),
    "a date as a key": ("2024-01-01: x\n", False),
    "a reference to the environment": ("more: ${oc.env:HOME}\n", False),
    "a reference without an end": ("more: ${mix\n", False),
    "a control character": ("more: \x07\n", False),
    "a comment": ("# caf\u00e9\n", True),
}


def list_yaml_cases() -> Iterator[Case]:
    """Yield errors in the YAML of params.yaml and of a profile."""
    for file, command in ((PARAMS, ("stages.split",)), (PROFILE, ("stages.train",))):
        yield from list_not_a_file(file, command)
        yield from (case for case in list_bad_bytes(file, command) if case.what != "empty" or file == PROFILE)
        for what, (text, accepted) in APPENDED.items():
            edit = rewrite_file(file, lambda content, text=text: content + text.encode())
            yield Case(file, f"YAML: {what}", edit, command, "" if accepted else file, accepted)
        for what, content in {"a list": b"- a\n- b\n", "a text": b"hello\n", "JSON cut off": b'{"split": '}.items():
            yield Case(file, f"YAML: only {what}", write_file(file, content), command, file)
        many = rewrite_file(file, lambda content: content + "".join(f"more{n}: 1\n" for n in range(50)).encode())
        yield Case(file, "fifty unknown sections", many, command, file)
    yield Case(
        "profiles/tasks", "a task that is not YAML", _with_task(b"task: [\n"), READERS[GeneralTasks], "profiles/tasks"
    )
    yield Case("profiles/tasks", "a task without a name", _with_task(b"a: 1\n"), READERS[GeneralTasks], "my_task")


def _with_task(content: bytes) -> Edit:
    def edit(project: Path) -> None:
        set_value(PROFILE, ["general"], ["my_task"])(project)
        write_file("profiles/tasks/my_task.yaml", content)(project)

    return edit


def list_cases() -> Iterator[Case]:
    """Yield all cases of this module."""
    for group in (list_value_cases, list_conflicting_cases, list_scalar_cases, list_yaml_cases):
        yield from group()
