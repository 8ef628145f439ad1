"""Leakage: whether an answer to a general question has the format of the customer task, or is broken in another way.

A model that was fine-tuned on one task may answer everything in the format of that task. Asked for the capital of
France, it answers `[{"L1": "food", "emotion": "neutral"}]`. Accuracy alone does not show this. The rules below read
only the text of the answer and need no model.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

from alloy.core.files import Row
from alloy.core.repetition import is_looping
from alloy.core.text import has_text, split_words
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import Codes

BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
FENCE = r"\s*(?:```\w*\s*)?"  # before the JSON of an answer
MIN_LETTERS = 2  # of a path that is matched: an answer "B" is the answer to a question with four choices
Phrase = tuple[str, ...]  # words, as split by alloy/core/text.py


@dataclass(frozen=True)
class TaskFormat:
    """The format of the answers of one task.

    - `keys`: names of the levels
    - `first`: the key that a segment starts with
    - `codes`: the codes that answers use instead of labels, if any
    - `phrases`: the words of each path, with and without an emotion, in a list for each first word
    """

    keys: tuple[str, ...]
    first: str
    codes: frozenset[str]
    phrases: dict[str, list[Phrase]]

    @classmethod
    def from_task(cls, taxonomy: Taxonomy, task: Row, codes: Codes | None = None) -> "TaskFormat":
        """Return the format of a task; `task` is data/split/task.json, `codes` are those of `prompt.labels: code`."""
        phrases: dict[str, list[Phrase]] = defaultdict(list)
        for path in taxonomy.leaves:
            label = _split_words(" ".join(path))
            if sum(letter.isalpha() for letter in "".join(label)) < MIN_LETTERS:
                continue
            for emotion in ("", *task["emotions"]):
                phrases[label[0]].append((*label, *_split_words(emotion)))
        first = "content" if task["has_content"] else "label" if codes else taxonomy.levels[0]
        return cls(taxonomy.levels, first, frozenset((codes or {}).values()), dict(phrases))


def flag_answer(answer: str, task: TaskFormat, *, cut: bool = False, is_choice: bool = False) -> dict[str, int]:
    """Return `{leak, empty, cut, loops}` of an answer to a general question, each 0 or 1.

    `cut`: the answer ended at the token limit. `is_choice`: the answer was read as one of the offered choices. Then an
    answer that is only a label does not count as a leak.
    """
    leak = has_task_keys(answer, task, cut=cut) or (not is_choice and consists_of_paths(answer, task))
    return {"leak": int(leak), "empty": int(not has_text(answer)), "cut": int(cut), "loops": int(is_looping(answer))}


def has_task_keys(answer: str, task: TaskFormat, *, cut: bool = False) -> bool:
    """Return whether an answer holds a JSON object of the task, even inside a code fence or text, or incomplete.

    1. An object that has a level as a key counts: `{"L1": ...`. An object with only `content` or `emotion` does not.
    2. With codes, an object whose key `label` holds a known code counts: `{"label": "017"`.
    3. An answer that ended at the token limit counts if it starts like an answer of the task and has no complete
       segment: `[{"content": "What is the capital`.
    """
    keys = "|".join(map(re.escape, task.keys))
    if re.search(rf"[{{,]\s*([\"'])(?:{keys})\1\s*:", answer):
        return True
    if any(code in task.codes for _, code in re.findall(r"[{,]\s*([\"'])label\1\s*:\s*[\"']?(\w+)", answer)):
        return True
    return cut and "}" not in answer and bool(re.match(rf"{FENCE}\[\s*{{\s*([\"']){re.escape(task.first)}\1", answer))


def consists_of_paths(answer: str, task: TaskFormat) -> bool:
    """Return whether an answer consists of paths of the taxonomy and nothing else. Each may have an emotion.

    Case, punctuation, separators and list marks are ignored. `Setup > Pairing` and `- setup / pairing (anger)` are
    paths. "The setup of the pairing" is not a path. With one level, "food" is a path, but "I like food" is not.

    Algorithm, on the words of the answer:

    1. Mark position 0 as reached.
    2. For each reached position, from left to right: if the words of a path start there, mark the position after them.
    3. The answer names paths if the position after its last word is reached.

    Example: "setup pairing price": `Setup > Pairing` leads from 0 to 2, `Price` from 2 to 3, which is the end.
    """
    answer_words = _split_words(BULLET.sub("", answer))
    reached = {0}
    for start, word in enumerate(answer_words):
        if start in reached:
            for phrase in task.phrases.get(word, []):
                if answer_words[start : start + len(phrase)] == phrase:
                    reached.add(start + len(phrase))
    return bool(answer_words) and len(answer_words) in reached


def _split_words(text: str) -> Phrase:
    """Return the words of a text, without symbols such as `>`."""
    return tuple(word for word in split_words(text) if any(letter.isalnum() for letter in word))
