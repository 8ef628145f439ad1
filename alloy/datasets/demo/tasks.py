"""Generate tasks with structured answers (lists, copies, JSON), each with the right answer.

Tasks that copy, split and reformat text use random words, so that a model learns to copy instead of memorizing the
text. The words include those of the customer comments, since any language model has seen them. The sentences,
labels and word order of the comments are not used.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

Material = dict[str, Any]  # `instructions` of knowledge.yaml, and `words` per language
Task = Callable[[Material, random.Random], tuple[str, str]]  # returns (prompt, right answer)


def ask_for_bullet_list(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for a list with dashes."""
    name, members = rng.choice(sorted(material["lists"].items()))
    count = rng.choice([2, 3, 4])
    return f"List {count} {name}, one a line.", "\n".join(f"- {member}" for member in members[:count])


def ask_for_comma_list(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for a list in one line."""
    name, members = rng.choice(sorted(material["lists"].items()))
    count = rng.choice([2, 3, 4])
    return f"Name {count} {name}, separated by commas.", ", ".join(members[:count])


def draw_words(material: Material, rng: random.Random, low: int = 3, high: int = 12) -> str:
    """Return random words of one language, or sometimes a sentence."""
    lang = rng.choice(["en", "en", "es", "de"])
    if rng.random() < 0.3:
        return rng.choice(material["sentences"][lang])
    return " ".join(rng.choices(material["words"][lang], k=rng.randint(low, high)))


def ask_for_capitals(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for words in capital letters."""
    words = draw_words(material, rng, high=5)
    return f"Write in capital letters: {words}", words.upper()


def ask_for_copy(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for a copy of some words, in quotes."""
    words = draw_words(material, rng, high=16)
    return f"Repeat in quotes: {words}", f'"{words}"'


def ask_for_parts(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for the parts of a text as a JSON list."""
    parts = [draw_words(material, rng, low=2, high=8) for _ in range(rng.choice([2, 2, 3]))]
    return f"Split at the comma: {', '.join(parts)}", json.dumps(parts, ensure_ascii=False)


def ask_for_numbered_words(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for one word per line, with numbers."""
    words = draw_words(material, rng).split()[: rng.choice([3, 4, 5])]
    return f"Number the words: {' '.join(words)}", "\n".join(f"{n}. {word}" for n, word in enumerate(words, 1))


def ask_for_one_word(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for the first or the last word."""
    words = draw_words(material, rng)
    index = rng.choice([0, -1])
    return f"Give only the {'first' if index == 0 else 'last'} word: {words}", words.split()[index]


def ask_for_json(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask for fields as a JSON object, a format that is similar to the customer task's format."""
    keys = rng.sample(["name", "city", "job", "colour", "title", "content", "emotion", "date"], rng.choice([2, 3]))
    people = {"name": "names", "city": "cities", "job": "jobs", "colour": "colours"}
    values = [
        rng.choice(material["people"][people[key]]) if key in people else draw_words(material, rng, high=6)
        for key in keys
    ]
    fields = ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
    return f"As JSON: {fields}", json.dumps(dict(zip(keys, values, strict=True)), ensure_ascii=False)


def ask_who(material: Material, rng: random.Random) -> tuple[str, str]:
    """Ask which of two people is older, taller and the like; the prompt contains the answer."""
    first, second = rng.sample(material["people"]["names"], 2)
    old, young = rng.choice([("older", "younger"), ("taller", "shorter"), ("faster", "slower")])
    asked, answer = rng.choice([(old, first), (young, second)])
    return f"{first} is {old} than {second}. Who is {asked}?", answer


# Copying tasks are listed twice, since a small model needs the most practice in them.
COPYING: list[tuple[str, Task]] = [
    ("copy", ask_for_copy),
    ("split_at_comma", ask_for_parts),
    ("as_json", ask_for_json),
]
TASK_CYCLE: list[tuple[str, Task]] = [  # (category, task), used one after another
    ("bullet_list", ask_for_bullet_list),
    ("comma_list", ask_for_comma_list),
    ("capitals", ask_for_capitals),
    ("numbered", ask_for_numbered_words),
    ("one_word", ask_for_one_word),
    ("who", ask_who),
    *COPYING,
    *COPYING,
]


def yield_words(node: object, lang: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (language, word) for every word under the key of a language, and for descriptions, which are English."""
    if isinstance(node, dict):
        for key, value in node.items():
            inner_lang = key if key in ("en", "es", "de") else "en" if key == "description" else lang
            yield from yield_words(value, inner_lang)
    elif isinstance(node, list):
        for value in node:
            yield from yield_words(value, lang)
    elif lang is not None:
        yield from ((lang, word) for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", re.sub(r"{\w+}", "", str(node))))


def add_words(material: Material, feedback: object) -> Material:
    """Return `material` with `words` per language: those of its sentences and of the customer comments."""
    seen = {*yield_words(feedback), *yield_words(material["sentences"])}
    words = {lang: sorted(word for word_lang, word in seen if word_lang == lang) for lang in ("en", "es", "de")}
    return {**material, "words": words}
