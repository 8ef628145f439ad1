"""Write the training mix and the test set in Converse format, as a customization job of Amazon Nova reads them.

Run     alloy nova export [folder]

Reads what `split` and `mix` wrote, and writes train.jsonl and test.jsonl into the folder (data/converse), one
conversation a line in the order of data/mix/train.jsonl and data/split/test.jsonl. The lines hold Nova's own fields
alone: a job may refuse others, so that ids stay behind. Of a test comment the last turn is the gold answer.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, decode_lines, read_jsonl, write_jsonl
from alloy.formats.converse import refused_words, to_conversation
from alloy.labelling.prompt import Prompts
from alloy.labelling.settings import Prompt
from alloy.labelling.task import SPLIT, load_task

TRAIN = Path("data/mix/train.jsonl")


def conversations(rows: Iterable[tuple[str, Row]], refused: dict[str, list[str]]) -> Iterator[Row]:
    """Yield the conversation of each row that comes with its place; `refused` gets those with refused words."""
    for place, row in rows:
        if words := refused_words(row["messages"]):
            refused[place] = words
        try:
            yield to_conversation(row["messages"])
        except ValueError as fault:
            raise InputError(f"{place}: {fault}") from None


def training_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of the mix, each with its place."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        yield f"{path}:{number}", row


def test_rows(test: list[Row], prompts: Prompts, path: Path) -> Iterator[tuple[str, Row]]:
    """Yield the test comments as chats that end in their gold answers, each with its place."""
    for number, (row, messages) in enumerate(zip(test, prompts.build_messages(test), strict=True), 1):
        answer = {"role": "assistant", "content": prompts.render_gold_answer(row)}
        yield f"{path}:{number}", {"messages": [*messages, answer]}


def warning(refused: dict[str, list[str]], total: int) -> str:
    """Return the line that says what a job would stumble over."""
    words = ", ".join(sorted({word for found in refused.values() for word in found}))
    place = next(iter(refused))
    return (
        f"converse: {len(refused)} of {total} conversations hold words that Nova's check of training data refuses "
        f"({words}), the first is {place}; drop or reword them before the job"
    )


def main(out: Path) -> None:
    """Read, turn, write."""
    prompts, test = load_task(Prompt.load()), read_jsonl(SPLIT / "test.jsonl")
    refused: dict[str, list[str]] = {}
    counts = {"train": 0, "test": 0}

    def counted(side: str, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            counts[side] += 1
            yield row

    write_jsonl(out / "train.jsonl", counted("train", conversations(training_rows(TRAIN), refused)))
    tests = test_rows(test, prompts, SPLIT / "test.jsonl")
    write_jsonl(out / "test.jsonl", counted("test", conversations(tests, refused)))
    print(
        f"converse: {counts['train']} conversations in {out / 'train.jsonl'}, {counts['test']} in {out / 'test.jsonl'}"
    )
    if refused:
        print(warning(refused, sum(counts.values())))
