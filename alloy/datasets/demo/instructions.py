"""Prompts with instructions that a program can check, in the format of IFEval, from the tasks in tasks.py.

Each instruction describes the right answer to its task. A model that knows the tasks follows all instructions. A model
that answers everything like a customer's comment follows few.
"""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from alloy.core.files import Row
from alloy.datasets.demo.tasks import Material, Task, as_json, bullet_list, capitals, copy, one_word, split_at_comma

PROMPTS = 20  # of each kind of task
CAPITALS = 5  # words in capitals, at least: the keys L1 to L4 of one label count as words in capitals, too

Instructions = list[tuple[str, dict[str, Any]]]  # (id, arguments) of lm-eval's IFEval


def count_bullets(answer: str) -> Instructions:
    """Require the number of bullets in the answer."""
    return [("detectable_format:number_bullet_lists", {"num_bullets": len(answer.splitlines())})]


def require_words(answer: str) -> Instructions:
    """Require quotes around the answer, and its words. Keywords are patterns, so words with a hyphen are left out."""
    words = sorted({word for word in answer.strip('"').split() if word.isalpha()})
    return [("startend:quotation", {}), ("keywords:existence", {"keywords": words})] if words else []


def require_json(answer: str) -> Instructions:
    """Require valid JSON."""
    return [("detectable_format:json_format", {})]


def count_capitals(answer: str) -> Instructions:
    """Require the number of words in capitals, if it exceeds that of a label."""
    count = sum(word.isupper() for word in answer.split())
    arguments = {"capital_frequency": count, "capital_relation": "at least"}
    return [("change_case:capital_word_frequency", arguments)] if count >= CAPITALS else []


def limit_words(answer: str) -> Instructions:
    """Require less than two words. A word with a hyphen counts as two."""
    arguments = {"num_words": 2, "relation": "less than"}
    return [("length_constraints:number_words", arguments)] if re.fullmatch(r"\w+\W?", answer) else []


# The instructions for the right answer to each task; an empty list if the verifier would misread the answer.
REQUIREMENTS: dict[Task, Callable[[str], Instructions]] = {
    bullet_list: count_bullets,
    copy: require_words,
    as_json: require_json,
    split_at_comma: require_json,
    capitals: count_capitals,
    one_word: limit_words,
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
