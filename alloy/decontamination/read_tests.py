"""Read the texts of all tests: benchmark questions with their choices, IFEval prompts, and test comments."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import Row, check_lines, read_jsonl
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys
from alloy.formats.mmlu import load_questions, make_unknown_key_warnings

PROMPT_KEYS = ("key", "prompt", "instruction_id_list", "kwargs")  # those of `alloy/formats/ifeval.py`


@dataclass(frozen=True)
class TestTexts:
    """The texts of all tests.

    - `names`: names of the questions, then of the others, for reports
    - `questions`: texts that are compared as a whole and by n-grams
    - `others`: texts of which only n-grams are compared
    - `warnings`: about unknown keys of rows
    """

    names: list[str]
    questions: list[str]
    others: list[str]
    warnings: list[str]


def read_tests(benchmark: Path, instructions: Path, comments: Path) -> TestTexts:
    """Read the tests in the folder `benchmark` and in the files `instructions` and `comments`."""
    questions: list[tuple[str, str]] = []  # name and text
    choices: list[tuple[str, str]] = []
    subjects = load_questions(benchmark)
    for subject, splits in subjects.items():
        for number, row in enumerate(splits["test"]):
            questions.append((f"{subject}/{number}", row["question"]))
            choices += [(f"{subject}/{number}, choice {index}", text) for index, text in enumerate(row["choices"])]
    unknown: Counter[str] = Counter()
    for row in check_lines(instructions, _check_prompt):
        questions.append((f"ifeval {row.get('key')}", row["prompt"]))
        unknown.update(find_unknown_keys(row, frozenset(PROMPT_KEYS)))
    questions += [(f"comment {row['id']}", row["text"]) for row in read_jsonl(comments)]
    return TestTexts(
        [name for name, _ in questions + choices],
        [text for _, text in questions],
        [text for _, text in choices],
        make_unknown_key_warnings(benchmark, subjects) + describe_unknown_keys(instructions, unknown, PROMPT_KEYS),
    )


def _check_prompt(_number: int, row: Row) -> Row:
    if not isinstance(row.get("prompt"), str):
        raise ValueError("`prompt` is missing or not a string; write the text of the prompt")
    return row
