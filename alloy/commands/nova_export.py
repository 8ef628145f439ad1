"""Write the training mix and the test set in Converse format, as a customization job of Amazon Nova reads them.

Reads   data/mix/train.jsonl, data/split/test.jsonl, taxonomy.json and task.json
Writes  train.jsonl and test.jsonl in the folder (data/converse), one conversation per line, in the order of the inputs
Run     alloy nova export [folder]

The lines have only the fields of the format, without ids, because a job may refuse other fields. The last turn of a
test comment is the correct answer.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, read_jsonl, read_located_rows, write_jsonl
from alloy.formats.converse import find_rejected_words, to_conversation
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import Prompt
from alloy.labeling.task import SPLIT_FOLDER, load_task

TRAIN = Path("data/mix/train.jsonl")


def convert_rows(rows: Iterable[tuple[str, Row]], refused: dict[str, list[str]]) -> Iterator[Row]:
    """Yield the conversation of each row; rows come with their location, as `file:line`.

    The locations of rows with words that Nova refuses, and these words, are added to `refused`.
    """
    for location, row in rows:
        if words := find_rejected_words(row["messages"]):
            refused[location] = words
        try:
            yield to_conversation(row["messages"])
        except ValueError as error:
            raise InputError(f"{location}: {error}") from None


def make_test_rows(test: list[Row], prompts: Prompts, path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the test comments with their locations, as chats that end with the correct answer."""
    for number, (row, messages) in enumerate(zip(test, prompts.build_messages(test), strict=True), 1):
        answer = {"role": "assistant", "content": prompts.render_gold_answer(row)}
        yield f"{path}:{number}", {"messages": [*messages, answer]}


def format_warning(refused: dict[str, list[str]], total: int) -> str:
    """Return a line about the conversations that a job would refuse."""
    words = ", ".join(sorted({word for found in refused.values() for word in found}))
    location = next(iter(refused))
    return (
        f"converse: {location}: Nova refuses training data with these words: {words} ({len(refused)} of {total} "
        "conversations have them); drop or reword them before the job"
    )


def main(out: Path) -> None:
    """Write both files; warn of words that Nova refuses."""
    prompts, test = load_task(Prompt.load()), read_jsonl(SPLIT_FOLDER / "test.jsonl")
    refused: dict[str, list[str]] = {}
    counts = {"train": 0, "test": 0}

    def count_rows(subset: str, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            counts[subset] += 1
            yield row

    write_jsonl(out / "train.jsonl", count_rows("train", convert_rows(read_located_rows(TRAIN), refused)))
    tests = make_test_rows(test, prompts, SPLIT_FOLDER / "test.jsonl")
    write_jsonl(out / "test.jsonl", count_rows("test", convert_rows(tests, refused)))
    print(
        f"converse: {counts['train']} conversations in {out / 'train.jsonl'}, {counts['test']} in {out / 'test.jsonl'}"
    )
    if refused:
        print(format_warning(refused, sum(counts.values())), file=sys.stderr)
