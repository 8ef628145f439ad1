"""Multiple-choice questions in the format of MMLU.

Source: Hendrycks et al., "Measuring Massive Multitask Language Understanding", 2021.
"""

from collections import Counter, defaultdict
from pathlib import Path

from alloy.core.files import InputError, Row, check_lines, join_errors
from alloy.core.text import has_text, normalize_text
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

KEYS = ("subject", "question", "choices", "answer")  # of a row; others have no effect
Questions = dict[str, dict[str, list[Row]]]  # subject -> split -> rows


def load_questions(folder: Path) -> Questions:
    """Read `test.jsonl` and `dev.jsonl`: `{subject, question, choices, answer}`, four choices, answer from 0 to 3.

    Subjects are normalized (`normalize_text`).
    """
    subjects: Questions = defaultdict(lambda: {"test": [], "dev": []})
    for split in ("test", "dev"):
        for row in check_lines(folder / f"{split}.jsonl", _check_question):
            subject = normalize_text(row["subject"])
            subjects[subject][split].append({**row, "subject": subject})
    missing = [
        f"{folder / split}.jsonl: subject '{subject}' has no rows; add some, since each subject needs test and dev rows"
        for subject, splits in subjects.items()
        for split, rows in splits.items()
        if not rows
    ]
    if missing:
        raise join_errors(missing)
    return dict(sorted(subjects.items()))


def require_examples(questions: Questions, fewshot: int, profile: str) -> None:
    """Raise `InputError` unless each subject has `fewshot` dev rows; `profile` is the file with this setting."""
    fewest = min(len(splits["dev"]) for splits in questions.values())
    if fewshot > fewest:
        raise InputError(
            f"{profile}: mmlu.fewshot: expected at most {fewest}, the dev rows of the smallest subject, got {fewshot}"
        )


def make_unknown_key_warnings(folder: Path, questions: Questions) -> list[str]:
    """Return a warning for each unknown key of the questions, by file."""
    warnings = []
    for split in ("test", "dev"):
        counts: Counter[str] = Counter()
        for splits in questions.values():
            for row in splits[split]:
                counts.update(find_unknown_keys(row, frozenset(KEYS)))
        warnings += describe_unknown_keys(folder / f"{split}.jsonl", counts, KEYS)
    return warnings


def _check_question(_number: int, row: Row) -> Row:
    """Return a question; raise `ValueError` with what is wrong with it and how to fix it.

    Equal choices are allowed, since MMLU itself has a few (github.com/hendrycks/test/issues/29). A generated answer
    with such a text is read as the first of them.
    """
    for key in ("subject", "question"):
        if not has_text(row.get(key)):
            raise ValueError(f"`{key}` is missing, empty or not a string; write its text")
    choices = row.get("choices")
    if not isinstance(choices, list) or len(choices) != 4 or not all(map(has_text, choices)):
        raise ValueError(f"`choices`: expected four strings that are not empty, got {choices!r}")
    if type(row.get("answer")) is not int or row["answer"] not in range(4):
        raise ValueError(f"`answer` is {row.get('answer')!r}; write the index of the right choice, 0 to 3")
    return row
