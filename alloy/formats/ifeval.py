"""Prompts with instructions that a program can check, in IFEval's form.

Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023, arXiv:2311.07911.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row, check_lines, decode_lines, join_errors
from alloy.core.text import normalize_text
from alloy.formats.ifeval_checks import verifiers

FIELDS = ["key", "prompt", "instruction_id_list", "kwargs"]
NUMBERS = re.compile(r"num_\w+|nth_paragraph|(\w+_)?frequency")
LISTS = {"keywords", "forbidden_words"}
PATTERNS = {"keyword", "section_spliter", *LISTS}  # lm-eval takes them for regular expressions


def check_prompt(row: Row) -> Row:
    """Return the canonical prompt, without null kwargs; raise `ValueError` with the fault and the mend.

    What lm-eval would draw at random, or fall over in the midst of a run, is a fault here.
    """
    key, prompt, names, kwargs = (row.get(field) for field in FIELDS)
    if isinstance(kwargs, list):  # null is absent: an instruction without arguments
        kwargs = [{} if given is None else given for given in kwargs]
    if type(key) is not int:
        raise ValueError(f"`key` is {key!r}; write a whole number that no other prompt has")
    if not isinstance(prompt, str) or not normalize_text(prompt):
        raise ValueError("`prompt` is missing or empty; write the text that the model is given")
    if not isinstance(names, list) or not names:
        raise ValueError("`instruction_id_list` is missing or empty; write at least one instruction")
    if not isinstance(kwargs, list) or not all(isinstance(given, dict) for given in kwargs):
        raise ValueError("`kwargs` must be a list of objects, one for each instruction")
    if len(kwargs) != len(names):
        raise ValueError(f"{len(names)} instructions and {len(kwargs)} kwargs; write one for each")
    given = [{name: value for name, value in one.items() if value is not None} for one in kwargs]
    for name, values in zip(names, given, strict=True):
        _check_instruction(name, values)
    return dict(zip(FIELDS, (key, prompt, names, given), strict=True))


def _check_instruction(name: Any, values: Row) -> None:  # noqa: ANN401 (any JSON value)
    known = verifiers()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"instruction {name!r} is none that lm-eval knows: {', '.join(sorted(known))}")
    instruction = known[name](name)
    wanted = set(instruction.get_instruction_args_keys())
    if unknown := sorted(values.keys() - wanted):
        raise ValueError(f"{name} takes no `{unknown[0]}`; remove it")
    if missing := sorted(wanted - values.keys()):
        raise ValueError(f"{name} has no `{missing[0]}`; add it, else lm-eval would draw one at random")
    for field, value in values.items():
        _check_value(f"{name}: `{field}`", field, value)
    try:
        instruction.build_description(**values)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{name}: lm-eval refuses {values} ({error}); correct it") from None


def _check_value(place: str, field: str, value: Any) -> None:  # noqa: ANN401 (any JSON value)
    if NUMBERS.fullmatch(field):
        if type(value) is not int or value < 1:
            raise ValueError(f"{place} is {value!r}; write a whole number above 0")
        return
    listed = field in LISTS
    words: list[Any] = value if listed and isinstance(value, list) and value else [None if listed else value]
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise ValueError(f"{place} is {value!r}; write {'a list of words' if listed else 'a text'}")
    for word in words if field in PATTERNS else []:
        try:
            re.compile(word)
        except re.error as error:
            raise ValueError(
                f"{place}: lm-eval reads {word!r} as a pattern, and it is none ({error}); correct it"
            ) from None


class Checker:
    """Checks prompts one by one, and that none has the key of one before."""

    def __init__(self) -> None:
        self.keys: set[int] = set()

    def __call__(self, _number: int, raw: Row) -> Row:
        """Return the canonical prompt; raise `ValueError` with what is wrong with it and how to fix it."""
        row = check_prompt(raw)
        if row["key"] in self.keys:
            raise ValueError(f"`key` {row['key']} is that of a row before; give each prompt its own")
        self.keys.add(row["key"])
        return row


def check_prompts(placed: Iterable[tuple[str, Row]]) -> list[Row]:
    """Return the canonical prompts of rows that come with their place; all bad rows make one `InputError`."""
    check, rows, errors = Checker(), list[Row](), list[str]()
    for place, raw in placed:
        try:
            rows.append(check(0, raw))
        except ValueError as error:
            errors.append(f"{place}: {error}")
    if errors:
        raise join_errors(errors)
    return rows


def placed_lines(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a JSON Lines file with their place, `file:line`."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        yield f"{path}:{number}", row


def load_prompts(path: Path) -> list[Row]:
    """Read `ifeval.jsonl`: `{key, prompt, instruction_id_list, kwargs}`, one of the last for each instruction."""
    return check_lines(path, Checker())
