"""Prompts of IFEval: each has instructions that a program can check.

Source: Zhou et al., "Instruction-Following Evaluation for Large Language Models", 2023, arXiv:2311.07911.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alloy.core.files import Row, check_lines, join_errors
from alloy.core.text import has_text
from alloy.formats.ifeval_checks import load_verifiers

FIELDS = ["key", "prompt", "instruction_id_list", "kwargs"]
COUNT_FIELDS = re.compile(r"num_\w+|nth_paragraph|(\w+_)?frequency")
LIST_FIELDS = {"keywords", "forbidden_words"}
PATTERN_FIELDS = {"keyword", "section_spliter", "postscript_marker", *LIST_FIELDS}  # lm-eval: regular expressions
# An expression with a repeated group, or with several unlimited repeats, may take forever on a long answer. A repeat of
# a repeat, as in C++, is hardly meant as one.
REPEATED_GROUP = re.compile(r"(?<!\\)[)*+?](?:[*+]|\{\d*,)")
UNLIMITED_REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\})")
MAX_REPEATS = 2


def check_prompt(row: Row) -> Row:
    """Return the canonical prompt, without null kwargs; raise `ValueError` with what is wrong and how to fix it.

    Missing arguments are an error, since lm-eval would draw them at random. Values that would make lm-eval fail in the
    middle of a run are also an error.
    """
    key, prompt, names, kwargs = (row.get(field) for field in FIELDS)
    if isinstance(kwargs, list):  # null: an instruction without arguments
        kwargs = [{} if arguments is None else arguments for arguments in kwargs]
    if type(key) is not int:
        raise ValueError(f"`key`: expected an integer that no other prompt has, got {key!r}")
    if not has_text(prompt):
        raise ValueError("`prompt` is missing or empty; write the text of the prompt")
    if not isinstance(names, list) or not names:
        raise ValueError("`instruction_id_list` is missing or empty; write at least one instruction")
    if not isinstance(kwargs, list) or not all(isinstance(arguments, dict) for arguments in kwargs):
        raise ValueError("`kwargs`: expected a list of objects, one per instruction")
    if len(kwargs) != len(names):
        raise ValueError(f"`kwargs`: expected {len(names)} objects, one per instruction, got {len(kwargs)}")
    kwargs = [{name: value for name, value in arguments.items() if value is not None} for arguments in kwargs]
    for name, values in zip(names, kwargs, strict=True):
        _check_instruction(name, values)
    return dict(zip(FIELDS, (key, prompt, names, kwargs), strict=True))


def _check_instruction(name: Any, values: Row) -> None:  # noqa: ANN401 (any JSON value)
    known = load_verifiers()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown instruction {name!r}; expected one of {', '.join(sorted(known))}")
    instruction = known[name](name)
    expected = set(instruction.get_instruction_args_keys())
    if unknown := sorted(values.keys() - expected):
        raise ValueError(f"{name}: unknown argument `{unknown[0]}`; remove it")
    if missing := sorted(expected - values.keys()):
        raise ValueError(f"{name}: `{missing[0]}` is missing; add it, or lm-eval would draw a random value")
    for field, value in values.items():
        _check_value(f"{name}: `{field}`", field, value)
    try:
        instruction.build_description(**values)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{name}: lm-eval rejects {values} ({error}); correct the arguments") from None


def _check_value(location: str, field: str, value: Any) -> None:  # noqa: ANN401 (any JSON value)
    if COUNT_FIELDS.fullmatch(field):
        if type(value) is not int or value < 1:
            raise ValueError(f"{location}: expected an integer above 0, got {value!r}")
        return
    is_list = field in LIST_FIELDS
    words: list[Any] = value if is_list and isinstance(value, list) and value else [None if is_list else value]
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise ValueError(f"{location}: expected {'a list of words' if is_list else 'a string'}, got {value!r}")
    for word in words if field in PATTERN_FIELDS else []:
        if not _is_safe_pattern(word):
            raise ValueError(
                f"{location}: {word!r} is an invalid or slow regular expression, and lm-eval reads it as one; "
                f"write {json.dumps(re.escape(word), ensure_ascii=False)} to search for this text"
            )


def _is_safe_pattern(text: str) -> bool:
    """Return whether a regular expression is valid and takes little time on any text."""
    try:
        re.compile(text)
    except re.error:
        return False
    return not REPEATED_GROUP.search(text) and len(UNLIMITED_REPEAT.findall(text)) <= MAX_REPEATS


class PromptChecker:
    """Checks prompts one by one, and that their keys are unique."""

    def __init__(self) -> None:
        self.keys: set[int] = set()

    def __call__(self, _number: int, raw: Row) -> Row:
        """Return the canonical prompt; raise `ValueError` with what is wrong with it and how to fix it."""
        row = check_prompt(raw)
        if row["key"] in self.keys:
            raise ValueError(f"duplicate `key` {row['key']}; keys must be unique")
        self.keys.add(row["key"])
        return row


def check_prompts(located_rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """Return the canonical prompts of `(location, row)` pairs; all bad rows are raised as one `InputError`."""
    check, rows, errors = PromptChecker(), list[Row](), list[str]()
    for location, raw in located_rows:
        try:
            rows.append(check(0, raw))
        except ValueError as error:
            errors.append(f"{location}: {error}")
    if errors:
        raise join_errors(errors)
    return rows


def load_prompts(path: Path) -> list[Row]:
    """Read `ifeval.jsonl`: `{key, prompt, instruction_id_list, kwargs}`; `kwargs` has one object per instruction."""
    return check_lines(path, PromptChecker())
