"""Make prompts with instructions that a program can check, in the format of IFEval, from the tasks in tasks.py.

Each instruction describes the right answer to its task. So a model that has learned the tasks follows all instructions,
and a model that answers everything with customer labels follows few.
"""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from alloy.core.files import Row
from alloy.datasets.demo.tasks import (
    Material,
    Task,
    ask_for_bullet_list,
    ask_for_capitals,
    ask_for_copy,
    ask_for_json,
    ask_for_one_word,
    ask_for_parts,
)

PROMPTS = 20  # prompts per kind of task
MIN_CAPITALS = 5  # one label has up to four words in capitals, its keys L1 to L4

Instructions = list[tuple[str, dict[str, Any]]]  # (id, arguments) of lm-eval's IFEval


def require_bullets(answer: str) -> Instructions:
    """Require the number of bullets in the answer."""
    return [("detectable_format:number_bullet_lists", {"num_bullets": len(answer.splitlines())})]


def require_words(answer: str) -> Instructions:
    """Require quotes around the answer, and its words. Keywords are patterns, so only plain words are used."""
    words = sorted({word for word in answer.strip('"').split() if word.isalpha()})
    return [("startend:quotation", {}), ("keywords:existence", {"keywords": words})] if words else []


def require_json(answer: str) -> Instructions:
    """Require valid JSON."""
    return [("detectable_format:json_format", {})]


def require_capitals(answer: str) -> Instructions:
    """Require as many words in capitals as the answer has; nothing if one customer label can have as many."""
    count = sum(word.isupper() for word in answer.split())
    arguments = {"capital_frequency": count, "capital_relation": "at least"}
    return [("change_case:capital_word_frequency", arguments)] if count >= MIN_CAPITALS else []


def require_one_word(answer: str) -> Instructions:
    """Require fewer than two words. A word with a hyphen counts as two, so it gets no instruction."""
    arguments = {"num_words": 2, "relation": "less than"}
    return [("length_constraints:number_words", arguments)] if re.fullmatch(r"\w+\W?", answer) else []


# Functions that return the instructions for the right answer to a task; none if lm-eval would misread the answer.
REQUIREMENTS: dict[Task, Callable[[str], Instructions]] = {
    ask_for_bullet_list: require_bullets,
    ask_for_copy: require_words,
    ask_for_json: require_json,
    ask_for_parts: require_json,
    ask_for_capitals: require_capitals,
    ask_for_one_word: require_one_word,
}


def make_prompts(material: Material, training_prompts: set[str], rng: random.Random) -> Iterator[tuple[Row, str]]:
    """Yield `PROMPTS` prompts of each kind that are not in `training_prompts`, each with its right answer."""
    material = {**material, "lists": material["lists_not_taught"]}
    seen = set(training_prompts)
    for task, require in REQUIREMENTS.items():
        target = len(seen) + PROMPTS
        while len(seen) < target:
            prompt, answer = task(material, rng)
            requirements = require(answer)
            if prompt in seen or not requirements:
                continue
            seen.add(prompt)
            ids, arguments = ([requirement[part] for requirement in requirements] for part in (0, 1))
            row = {
                "key": len(seen) - len(training_prompts),
                "prompt": prompt,
                "instruction_id_list": ids,
                "kwargs": arguments,
            }
            yield row, answer
