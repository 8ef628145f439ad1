"""Leakage: whether an answer to a general question is in the format of the customer task, or broken in another way.

A model that was tuned on one task may answer everything in that task's format: asked for the capital of France, it
gives `[{"L1": "food", "emotion": "neutral"}]`. Everybody sees this by eye; accuracy alone does not say it. An answer is
counted as leaked by the rules below, which read the text only and need no model.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

from alloy.core.files import Row
from alloy.core.repetition import is_looping
from alloy.core.text import split_words
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.answer import Codes

BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
FENCE = r"\s*(?:```\w*\s*)?"  # before the JSON of an answer
LETTERS = 2  # a path with fewer letters names no path: "B" is the answer to a question with four choices
Phrase = tuple[str, ...]  # words, as alloy/core/text.py splits them


@dataclass(frozen=True)
class TaskFormat:
    """What answers of one task look like.

    `keys` are the names of the levels. `first` is the key that a segment starts with. `codes` are what labels are
    called in answers, if not by their paths. `phrases` are the words of each path, with and without an emotion, by
    their first word.
    """

    keys: tuple[str, ...]
    first: str
    codes: frozenset[str]
    phrases: dict[str, list[Phrase]]

    @classmethod
    def of(cls, taxonomy: Taxonomy, task: Row, codes: Codes | None = None) -> "TaskFormat":
        """Return the format of a task: `task` is data/split/task.json, `codes` those of `prompt.labels: code`."""
        phrases: dict[str, list[Phrase]] = defaultdict(list)
        for path in taxonomy.leaves:
            label = _spoken(" ".join(path))
            if sum(letter.isalpha() for letter in "".join(label)) < LETTERS:
                continue
            for emotion in ("", *task["emotions"]):
                phrases[label[0]].append((*label, *_spoken(emotion)))
        first = "content" if task["has_content"] else "label" if codes else taxonomy.levels[0]
        return cls(taxonomy.levels, first, frozenset((codes or {}).values()), dict(phrases))


def judge(answer: str, task: TaskFormat, *, cut: bool = False, is_choice: bool = False) -> dict[str, int]:
    """Return `{leak, empty, cut, loops}` of an answer to a general question, each 0 or 1.

    `cut`: the answer ended at the token limit. `is_choice`: it was read as one of the choices that were offered, so
    that a bare label in it is an answer, not a leak.
    """
    leak = has_task_keys(answer, task, cut=cut) or (not is_choice and names_paths(answer, task))
    return {"leak": int(leak), "empty": int(not answer.strip()), "cut": int(cut), "loops": int(is_looping(answer))}


def has_task_keys(answer: str, task: TaskFormat, *, cut: bool = False) -> bool:
    """Return whether an answer holds a JSON object of the task, also in a code fence, between text, or cut off.

    1. An object with the name of a level as a key counts: `{"L1": ..`. `content` and `emotion` alone do not count.
    2. With codes, an object counts whose key `label` holds a known code: `{"label": "017"`.
    3. An answer that was cut counts if it starts as the task's answers do and ended within the first segment:
       `[{"content": "What is the capital`.
    """
    keys = "|".join(map(re.escape, task.keys))
    if re.search(rf"[{{,]\s*([\"'])(?:{keys})\1\s*:", answer):
        return True
    if any(code in task.codes for _, code in re.findall(r"[{,]\s*([\"'])label\1\s*:\s*[\"']?(\w+)", answer)):
        return True
    return cut and "}" not in answer and bool(re.match(rf"{FENCE}\[\s*{{\s*([\"']){re.escape(task.first)}\1", answer))


def names_paths(answer: str, task: TaskFormat) -> bool:
    """Return whether all of an answer is one path of the taxonomy, or a list of paths, each with or without an emotion.

    Case, punctuation, separators and list marks do not count: `Setup > Pairing` and `- setup / pairing (anger)` are
    paths, "The setup of the pairing" is not. With one level, "food" is one, and "I like food" is not.

    Algorithm, on the words of the answer:
    1. Position 0 is reached.
    2. From each position that is reached, each path whose words follow reaches the position after it.
    3. The answer names paths if its end is reached.
    """
    found = _spoken(BULLET.sub("", answer))
    reached = {0}
    for start, word in enumerate(found):
        if start in reached:
            for phrase in task.phrases.get(word, []):
                if found[start : start + len(phrase)] == phrase:
                    reached.add(start + len(phrase))
    return bool(found) and len(found) in reached


def _spoken(text: str) -> Phrase:
    """Return the words of a text without signs such as `>`."""
    return tuple(word for word in split_words(text) if any(letter.isalnum() for letter in word))
