"""Prompts with instructions that a program can check, in IFEval's form, from the tasks of tasks.py.

Each instruction says what the right answer to its task is like, so that a model which knows the tasks follows all of
them, and one that answers everything as if it were a customer's comment follows few.
"""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from alloy.core.files import Row
from alloy.datasets.demo.tasks import Material, Task, as_json, bullet_list, capitals, copy, one_word, split_at_comma

PROMPTS = 20  # of each kind of task
CAPITALS = 5  # words at least: the levels L1 to L4 of one label are words in capitals, too

Instructions = list[tuple[str, dict[str, Any]]]  # (id, arguments), as lm-eval's IFEval knows them


def of_bullets(answer: str) -> Instructions:
    """Ask for as many bullets."""
    return [("detectable_format:number_bullet_lists", {"num_bullets": len(answer.splitlines())})]


def of_copy(answer: str) -> Instructions:
    """Ask for quotes around, and for the words; those with a hyphen are left aside, as keywords are patterns."""
    words = sorted({word for word in answer.strip('"').split() if word.isalpha()})
    return [("startend:quotation", {}), ("keywords:existence", {"keywords": words})] if words else []


def of_json(answer: str) -> Instructions:
    """Ask for JSON, whatever is in it."""
    return [("detectable_format:json_format", {})]


def of_capitals(answer: str) -> Instructions:
    """Ask for as many words in capitals, where there are enough to tell them from a label's."""
    count = sum(word.isupper() for word in answer.split())
    arguments = {"capital_frequency": count, "capital_relation": "at least"}
    return [("change_case:capital_word_frequency", arguments)] if count >= CAPITALS else []


def of_one_word(answer: str) -> Instructions:
    """Ask for less than two words; a word with a hyphen counts as two."""
    arguments = {"num_words": 2, "relation": "less than"}
    return [("length_constraints:number_words", arguments)] if re.fullmatch(r"\w+\W?", answer) else []


# What to ask of the right answer to a task; nothing where a verifier would misread it.
ASKED: dict[Task, Callable[[str], Instructions]] = {
    bullet_list: of_bullets,
    copy: of_copy,
    as_json: of_json,
    split_at_comma: of_json,
    capitals: of_capitals,
    one_word: of_one_word,
}


def instructions(material: Material, taught: set[str], rng: random.Random) -> Iterator[tuple[Row, str]]:
    """Yield `PROMPTS` prompts of each kind, none of which is in `taught`, each with its right answer."""
    material = {**material, "lists": material["lists_not_taught"]}
    seen = set(taught)
    for task, asked in ASKED.items():
        wanted = len(seen) + PROMPTS
        while len(seen) < wanted:
            prompt, answer = task(material, rng)
            known = asked(answer)
            if prompt in seen or not known:
                continue
            seen.add(prompt)
            ids, arguments = ([one[part] for one in known] for part in (0, 1))
            row = {"key": len(seen) - len(taught), "prompt": prompt, "instruction_id_list": ids, "kwargs": arguments}
            yield row, answer
