"""Make a benchmark of science questions from the training sets of ARC and OpenBookQA.

The raw files are ARC-Easy/train.json, ARC-Challenge/train.json and openbookqa/train.json of LLM-Adapters, or
llm_adapters_qa_train.jsonl of the same rows.

1. Hash each question, and sort the questions of each subject by hash. So the order of the files does not matter.
2. Take the first five as few-shot examples (dev), and the next ones as test questions (`TEST`). Skip questions that an
   earlier subject already has.

The general data of the format `assistant` has no multiple-choice questions, so it contains none of these. The stage
`decontaminate` checks this.
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
NO_FILES = f"no .json file; put ARC-Easy, ARC-Challenge and openbookqa of {SOURCE} there"


def read_questions(files: list[Path]) -> Iterator[tuple[str, Question]]:
    """Yield (subject, question) of every question with four choices."""
    for path in files:
        for exercise in read_exercises(path):
            subject = MULTIPLE_CHOICE.get(exercise.task)
            if subject and (question := parse_question(exercise)):
                yield subject, question


def divide_questions(raw: Path, questions: Iterator[tuple[str, Question]]) -> dict[str, list[Row]]:
    """Return the rows of the splits `dev` and `test`. Raises `InputError` if a subject has too few questions."""
    subjects: dict[str, dict[str, Question]] = {subject: {} for subject in TEST}
    for subject, question in questions:
        digest, by_hash = hash_question(question), subjects[subject]
        by_hash[digest] = min(question, by_hash.get(digest, question))
    splits: dict[str, list[Row]] = {"dev": [], "test": []}
    taken: set[str] = set()
    for subject, by_hash in subjects.items():
        digests = [digest for digest in sorted(by_hash) if digest not in taken]
        if len(digests) < DEV + TEST[subject]:
            raise InputError(
                f"{raw}: {subject}: expected {DEV + TEST[subject]} questions with four choices, got "
                f"{len(digests)}; download the training sets: {SOURCE}"
            )
        for split, chosen in (("dev", digests[:DEV]), ("test", digests[DEV : DEV + TEST[subject]])):
            taken.update(chosen)
            splits[split] += [{"subject": subject, **by_hash[digest]._asdict()} for digest in chosen]
    return splits


def hash_question(question: Question) -> str:
    """Return a hash of the question's text. Copies have the same hash, and questions are chosen by it."""
    return hashlib.sha256(fold_text(question.question).encode()).hexdigest()


def convert_qa(raw: Path, out: Path) -> list[str]:
    """Write test.jsonl and dev.jsonl from the files below `raw`; return the lines to print."""
    splits = divide_questions(raw, read_questions(find_files(raw, is_json, NO_FILES)))
    for split, rows in splits.items():
        write_jsonl(out / f"{split}.jsonl", rows)
    return [f"{len(splits['test'])} test, {len(splits['dev'])} dev questions in {len(TEST)} subjects"]
