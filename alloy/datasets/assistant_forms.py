"""Read the general data sets of the format `assistant`, in their published layouts, as chat messages with a source."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, Row
from alloy.datasets.llm_adapters import BOOLQ, read_exercises
from alloy.formats.json_objects import read_objects

QA = "llm_adapters_qa_train"  # BoolQ only; the multiple-choice questions belong to the benchmark (format `qa`)
MBPP_TRAIN = range(601, 975)  # task_id of the training set, by MBPP's README
_TURN = re.compile(r"### (Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


class SourceInfo(NamedTuple):
    """Category and license of the rows of a source, and the maximum number of examples that are used."""

    category: str
    license: str
    max_examples: int


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


def build_example(source: str, question: str, answer: str, lang: str = "en") -> Example:
    """Return an example with one question and one answer."""
    turns = [{"role": "user", "content": question.strip()}, {"role": "assistant", "content": answer.strip()}]
    return Example(source, turns, lang)


def _read_gsm8k(row: Row, _path: Path) -> Example:
    return build_example("gsm8k_train", row["question"], row["answer"])


def _read_gpteacher(row: Row, path: Path) -> Example:
    kind = "codegen" if "codegen" in path.name.lower() else "roleplay"
    return build_example(f"gpteacher_{kind}", f"{row['instruction']}\n\n{row['input']}", row["response"])


def _read_self_instruct(row: Row, _path: Path) -> Example:
    first = row["instances"][0]
    return build_example("self_instruct_human_seeds", f"{row['instruction']}\n\n{first['input']}", first["output"])


def _read_mbpp(row: Row, _path: Path) -> Example | None:
    tests = "\n".join(row["test_list"])
    question = f"{row['text']}\nYour code should pass these tests:\n{tests}"
    return build_example("mbpp_train", question, row["code"]) if row["task_id"] in MBPP_TRAIN else None


def _read_oasst1(row: Row, _path: Path) -> Example:
    _, *parts = _TURN.split(row["input"])
    named = list(zip(parts[::2], parts[1::2], strict=True))[:-1]  # the last turn is empty: the answer is in `output`
    turns = [{"role": ROLES[name], "content": text.strip()} for name, text in named]
    answer = {"role": "assistant", "content": row["output"].strip()}
    return Example("oasst1_eval953", [*turns, answer], row.get("lang", "en"))


# A row has the first layout whose keys are all in the row.
LAYOUTS: list[tuple[set[str], Callable[[Row, Path], Example | None]]] = [
    ({"task_id", "text", "code", "test_list"}, _read_mbpp),
    ({"instruction", "instances"}, _read_self_instruct),
    ({"instruction", "input", "response"}, _read_gpteacher),
    ({"input", "output", "message_id"}, _read_oasst1),
    ({"question", "answer"}, _read_gsm8k),
]


def read_examples(path: Path) -> Iterator[Example]:
    """Yield the examples of a file, including those of sources that are not in `SOURCES`.

    Of the questions of LLM-Adapters, only those of BoolQ are yielded. A row of an unknown layout raises `InputError`.
    """
    location, first = next(read_objects(path))
    if first.get("source") == QA or {"instruction", "output", "answer"} <= first.keys():
        yield from (
            build_example(QA, exercise.prompt, exercise.answer)
            for exercise in read_exercises(path)
            if exercise.task == BOOLQ
        )
        return
    for location, row in read_objects(path):
        try:
            example = _read_canonical(row) if "messages" in row else _read_published(row, path)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise InputError(f"{location}: the row has an unknown layout; download the file again") from None
        if example:
            yield example


def _read_canonical(row: Row) -> Example:
    turns = [{"role": turn["role"], "content": turn["content"].strip()} for turn in row["messages"]]
    return Example(row["source"], turns, row.get("lang") or "en")


def _read_published(row: Row, path: Path) -> Example | None:
    read = next((read for keys, read in LAYOUTS if keys <= row.keys()), None)
    if read is None:
        raise ValueError("unknown layout")
    return read(row, path)
