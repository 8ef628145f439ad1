"""The published forms of the general data: each becomes messages, with its source, category and licence."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, Row
from alloy.datasets.llm_adapters import BOOLQ, read_exercises
from alloy.formats.json_objects import read_objects

QA = "llm_adapters_qa_train"  # BoolQ; its multiple-choice questions are the benchmark's, see the format `qa`
MBPP_TRAIN = range(601, 975)  # task_id of the training set, as MBPP's README divides it
_TURN = re.compile(r"### (Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


class SourceInfo(NamedTuple):
    """What is said of the rows of a source, and how many of them are taken at most."""

    category: str
    license: str
    most: int


SOURCES = {
    QA: SourceInfo("factuality", "CC BY-SA 3.0", 3000),
    "gsm8k_train": SourceInfo("math", "MIT", 1500),
    "gpteacher_roleplay": SourceInfo("chat", "MIT", 1500),
    "gpteacher_codegen": SourceInfo("code", "MIT", 1500),
    "self_instruct_human_seeds": SourceInfo("instruction-following", "Apache-2.0", 1500),
    "oasst1_eval953": SourceInfo("chat", "Apache-2.0", 1500),
    "mbpp_train": SourceInfo("code", "CC BY 4.0", 1500),
}


class Example(NamedTuple):
    """One conversation of a source."""

    source: str
    messages: list[Row]
    lang: str = "en"


def ask(source: str, question: str, answer: str, lang: str = "en") -> Example:
    """Return a conversation of one question and one answer."""
    turns = [{"role": "user", "content": question.strip()}, {"role": "assistant", "content": answer.strip()}]
    return Example(source, turns, lang)


def _gsm8k(row: Row, _path: Path) -> Example:
    return ask("gsm8k_train", row["question"], row["answer"])


def _gpteacher(row: Row, path: Path) -> Example:
    kind = "codegen" if "codegen" in path.name.lower() else "roleplay"
    return ask(f"gpteacher_{kind}", f"{row['instruction']}\n\n{row['input']}", row["response"])


def _self_instruct(row: Row, _path: Path) -> Example:
    first = row["instances"][0]
    return ask("self_instruct_human_seeds", f"{row['instruction']}\n\n{first['input']}", first["output"])


def _mbpp(row: Row, _path: Path) -> Example | None:
    tests = "\n".join(row["test_list"])
    question = f"{row['text']}\nYour code should pass these tests:\n{tests}"
    return ask("mbpp_train", question, row["code"]) if row["task_id"] in MBPP_TRAIN else None


def _oasst1(row: Row, _path: Path) -> Example:
    _, *parts = _TURN.split(row["input"])
    named = list(zip(parts[::2], parts[1::2], strict=True))[:-1]  # the last one is the answer's, without a text
    turns = [{"role": ROLES[name], "content": text.strip()} for name, text in named]
    answer = {"role": "assistant", "content": row["output"].strip()}
    return Example("oasst1_eval953", [*turns, answer], row.get("lang", "en"))


# A row's form is told by the keys that it has; the first form whose keys are all there is taken.
FORMS: list[tuple[set[str], Callable[[Row, Path], Example | None]]] = [
    ({"task_id", "text", "code", "test_list"}, _mbpp),
    ({"instruction", "instances"}, _self_instruct),
    ({"instruction", "input", "response"}, _gpteacher),
    ({"input", "output", "message_id"}, _oasst1),
    ({"question", "answer"}, _gsm8k),
]


def read_examples(path: Path) -> Iterator[Example]:
    """Yield the conversations of a file, which may be of another source than those that are taken.

    A row that is of no known form raises `InputError`. Of the questions of LLM-Adapters, only BoolQ's are yielded.
    """
    place, first = next(read_objects(path))
    if first.get("source") == QA or {"instruction", "output", "answer"} <= first.keys():
        yield from (ask(QA, one.prompt, one.answer) for one in read_exercises(path) if one.task == BOOLQ)
        return
    for place, row in read_objects(path):
        try:
            example = _canonical(row) if "messages" in row else _published(row, path)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise InputError(f"{place}: not a row of this file as it was published; fetch the file again") from None
        if example:
            yield example


def _canonical(row: Row) -> Example:
    turns = [{"role": turn["role"], "content": turn["content"].strip()} for turn in row["messages"]]
    return Example(row["source"], turns, row.get("lang") or "en")


def _published(row: Row, path: Path) -> Example | None:
    read = next((read for keys, read in FORMS if keys <= row.keys()), None)
    if read is None:
        raise ValueError("no known form")
    return read(row, path)
