r"""Read questions of BoolQ, OpenBookQA and ARC in the layout of LLM-Adapters (Hu et al., EMNLP 2023).

Files: `<task>/train.json`, arrays of {instruction, output, answer}; or JSON Lines of {messages, task}. The prompt
contains the choices: `... question: <question>\n\nAnswer1: <choice> Answer2: <choice> ...\n\nAnswer format: ...`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError
from alloy.formats.json_objects import read_objects

SOURCE = "https://github.com/AGI-Edgerunners/LLM-Adapters/tree/main/dataset"
MULTIPLE_CHOICE = {"arc-easy": "arc_easy", "arc-challenge": "arc_challenge", "openbookqa": "openbookqa"}
BOOLQ = "boolq"
_PROMPT = re.compile(r"question: (?P<question>.*?)\n\nAnswer1: (?P<choices>.*?)\n\nAnswer format", re.DOTALL)
_NEXT = re.compile(r" Answer\d: ")
_ANSWER = re.compile(r"answer(\d)")


class Exercise(NamedTuple):
    """A prompt with its answer; `task` is in lower case, such as `arc-easy`."""

    task: str
    prompt: str
    answer: str


class Question(NamedTuple):
    """A multiple-choice question; `answer` is the index of the right choice."""

    question: str
    choices: tuple[str, ...]
    answer: int


def read_exercises(path: Path) -> Iterator[Exercise]:
    """Yield the rows of a file. The task of rows without `task` is the name of the file's folder."""
    for location, row in read_objects(path):
        task = row.get("task", path.parent.name)
        if "messages" in row:
            texts = [turn.get("content") if isinstance(turn, dict) else None for turn in row["messages"]]
        else:
            texts = [row.get("instruction"), row.get("output")]
        texts = [text.strip() for text in (task, *texts) if isinstance(text, str) and text.strip()]
        if len(texts) != 3:
            raise InputError(
                f"{location}: expected {{instruction, output}} or {{messages, task}} of LLM-Adapters: {SOURCE}"
            )
        yield Exercise(texts[0].lower(), *texts[1:])


def parse_question(exercise: Exercise) -> Question | None:
    """Return the question; None if it does not have four choices, as some questions of ARC."""
    match, answer = _PROMPT.search(exercise.prompt), _ANSWER.search(exercise.answer)
    if not match or not answer:
        return None
    choices = tuple(choice.strip() for choice in _NEXT.split(match["choices"]))
    index = int(answer[1]) - 1
    return Question(match["question"].strip(), choices, index) if len(choices) == 4 and index in range(4) else None
