"""Multiple-choice questions in MMLU's form.

Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021.
"""

from collections import Counter, defaultdict
from pathlib import Path

from alloy.core.files import InputError, Row, decode_lines
from alloy.core.unknown_keys import describe_unknown_keys, find_unknown_keys

KEYS = ("subject", "question", "choices", "answer")  # of a row; others have no effect
Questions = dict[str, dict[str, list[Row]]]  # subject -> split -> rows


def load_questions(folder: Path) -> Questions:
    """Read `test.jsonl` and `dev.jsonl`: `{subject, question, choices, answer}` with four choices, answer 0 to 3."""
    subjects: Questions = defaultdict(lambda: {"test": [], "dev": []})
    for split in ("test", "dev"):
        path = folder / f"{split}.jsonl"
        for number, row in decode_lines(path):
            if isinstance(row, InputError):
                raise row
            if fault := _fault(row):
                raise InputError(f"{path}:{number}: {fault}")
            subjects[row["subject"]][split].append(row)
    for subject, splits in subjects.items():
        for split, rows in splits.items():
            if not rows:
                raise InputError(
                    f"{folder / split}.jsonl: subject '{subject}' has no row here; each needs test and dev"
                )
    return dict(sorted(subjects.items()))


def require_examples(questions: Questions, fewshot: int, profile: str) -> None:
    """Raise `InputError` unless each subject has `fewshot` rows in dev.jsonl; `profile` is the file that asks so."""
    fewest = min(len(splits["dev"]) for splits in questions.values())
    if fewshot > fewest:
        raise InputError(f"{profile}: mmlu.fewshot: {fewshot}, but a subject has {fewest} dev rows")


def unknown_key_warnings(folder: Path, questions: Questions) -> list[str]:
    """Return what to say of keys that are not those of a question, by file."""
    warnings = []
    for split in ("test", "dev"):
        counts: Counter[str] = Counter()
        for splits in questions.values():
            for row in splits[split]:
                counts.update(find_unknown_keys(row, frozenset(KEYS)))
        warnings += describe_unknown_keys(folder / f"{split}.jsonl", counts, KEYS)
    return warnings


def _fault(row: Row) -> str | None:
    if not isinstance(row.get("subject"), str) or not isinstance(row.get("question"), str):
        return "`subject` or `question` is missing; write both as strings"
    choices = row.get("choices")
    if not isinstance(choices, list) or len(choices) != 4 or not all(isinstance(choice, str) for choice in choices):
        return "`choices` must be four strings"
    if type(row.get("answer")) is not int or row["answer"] not in range(4):
        return f"`answer` is {row.get('answer')!r}; write the index of the right choice, 0 to 3"
    return None
