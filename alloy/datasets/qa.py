"""Take a benchmark of science questions from the training sets of ARC and OpenBookQA.

The raw files are ARC-Easy/train.json, ARC-Challenge/train.json and openbookqa/train.json of LLM-Adapters, or
llm_adapters_qa_train.jsonl of the same rows.

Of each subject, the questions whose hashes come first: five for the prompts (dev), then those of the test. So the same
questions are taken whatever the order of the files. Questions of which two subjects have a copy are taken once. None
is in the general data: the format `assistant` takes no multiple-choice question, and the stage decontaminate
looks again.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, find_files, write_jsonl
from alloy.core.text import fold_text
from alloy.datasets.llm_adapters import MULTIPLE_CHOICE, SOURCE, Question, parse_question, read_exercises
from alloy.formats.json_objects import is_json

TEST = {"arc_easy": 300, "arc_challenge": 100, "openbookqa": 200}
DEV = 5
WANTED = f"no .json file; put ARC-Easy, ARC-Challenge and openbookqa of {SOURCE} there"


def read_questions(files: list[Path]) -> Iterator[tuple[str, Question]]:
    """Yield (subject, question) of each question with four choices."""
    for path in files:
        for exercise in read_exercises(path):
            subject = MULTIPLE_CHOICE.get(exercise.task)
            if subject and (question := parse_question(exercise)):
                yield subject, question


def divide(raw: Path, questions: Iterator[tuple[str, Question]]) -> dict[str, list[Row]]:
    """Return the rows of the splits `dev` and `test`; a subject with too few below `raw` raises `InputError`."""
    subjects: dict[str, dict[str, Question]] = {subject: {} for subject in TEST}
    for subject, question in questions:
        name, own = key(question), subjects[subject]
        own[name] = min(question, own.get(name, question))
    splits: dict[str, list[Row]] = {"dev": [], "test": []}
    taken: set[str] = set()
    for subject, found in subjects.items():
        own = [name for name in sorted(found) if name not in taken]
        if len(own) < DEV + TEST[subject]:
            raise InputError(
                f"{raw}: {subject}: expected {DEV + TEST[subject]} questions with four choices, got "
                f"{len(own)}; the training sets are at {SOURCE}"
            )
        for split, names in (("dev", own[:DEV]), ("test", own[DEV : DEV + TEST[subject]])):
            taken.update(names)
            splits[split] += [{"subject": subject, **found[name]._asdict()} for name in names]
    return splits


def key(question: Question) -> str:
    """Return a hash of the question's text, by which copies are found and questions are drawn."""
    return hashlib.sha256(fold_text(question.question).encode()).hexdigest()


def convert_qa(raw: Path, out: Path) -> list[str]:
    """Write test.jsonl and dev.jsonl from the files below `raw`; return what to print."""
    splits = divide(raw, read_questions(find_files(raw, is_json, WANTED)))
    for split, rows in splits.items():
        write_jsonl(out / f"{split}.jsonl", rows)
    return [f"{len(splits['test'])} test, {len(splits['dev'])} dev questions in {len(TEST)} subjects"]
