"""Take a benchmark of science questions from the training sets of ARC and OpenBookQA.

Reads   data/qa/raw/: ARC-Easy/train.json, ARC-Challenge/train.json and openbookqa/train.json of LLM-Adapters, or
        llm_adapters_qa_train.jsonl of the same rows
Writes  data/qa/benchmark/test.jsonl, dev.jsonl: {subject, question, choices, answer}
Run     dvc repro data/qa/dvc.yaml

Of each subject, the questions whose hashes come first: five for the prompts (dev), then those of the test. So the same
questions are taken whatever the order of the files. Questions of which two subjects have a copy are taken once. None
is in the general data: data/assistant takes no multiple-choice question, and the stage decontaminate looks again.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, find_files, write_folder, write_jsonl
from alloy.core.stage import run
from alloy.core.text import fold_text
from alloy.formats.json_objects import is_json
from data.qa.llm_adapters import MULTIPLE_CHOICE, SOURCE, Question, parse_question, read_exercises

HERE = Path("data/qa")
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


def divide(questions: Iterator[tuple[str, Question]]) -> dict[str, list[Row]]:
    """Return the rows of the splits `dev` and `test`; a subject with too few questions raises `InputError`."""
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
                f"{HERE / 'raw'}: {subject}: expected {DEV + TEST[subject]} questions with four choices, got "
                f"{len(own)}; the training sets are at {SOURCE}"
            )
        for split, names in (("dev", own[:DEV]), ("test", own[DEV : DEV + TEST[subject]])):
            taken.update(names)
            splits[split] += [{"subject": subject, **found[name]._asdict()} for name in names]
    return splits


def key(question: Question) -> str:
    """Return a hash of the question's text, by which copies are found and questions are drawn."""
    return hashlib.sha256(fold_text(question.question).encode()).hexdigest()


def main() -> None:
    """Read, divide, write."""
    splits = divide(read_questions(find_files(HERE / "raw", is_json, WANTED)))

    def write(folder: Path) -> None:
        for split, rows in splits.items():
            write_jsonl(folder / f"{split}.jsonl", rows)

    write_folder(HERE / "benchmark", write)
    print(f"convert: {len(splits['test'])} test, {len(splits['dev'])} dev questions in {len(TEST)} subjects")


if __name__ == "__main__":
    run(main)
