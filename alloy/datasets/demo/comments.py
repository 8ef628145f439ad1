"""Make the demo's customer comments and their taxonomy from the lexicon in feedback.yaml.

A comment has one to four segments in one language, with greetings around them and connectives between them. Some
comments have typos, no accents or no capitals. Leaves are drawn with weights 1/rank (Zipf's law).
"""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import Row, write_atomically, write_jsonl
from alloy.core.tables import format_csv

SEED = 2
COMMENTS = 3000
LANGUAGES = {"en": 0.6, "es": 0.2, "de": 0.2}  # probability of each language
SEGMENTS = {1: 0.45, 2: 0.35, 3: 0.14, 4: 0.06}  # probability of each number of segments
SAME_FAMILY = 0.6  # probability that the next segment is about the same family of products

Lexicon = dict[str, Any]


@dataclass(frozen=True)
class Leaf:
    """One leaf of the taxonomy.

    `phrases` has clauses about the leaf, and `subjects` the words that replace `{it}` in them, both per language.
    """

    path: tuple[str, ...]
    description: str
    mood: str
    phrases: dict[str, list[str]]
    subjects: dict[str, list[str]]


def list_leaves(lexicon: Lexicon) -> list[Leaf]:
    """Return all leaves, family by family."""
    return [
        Leaf((name, *entry["path"]), entry["description"], entry["mood"], entry["says"], family["it"])
        for name, family in lexicon["families"].items()
        for entry in family["own"] + (lexicon["shared"] if family["shared"] else [])
    ]


def pick_weighted(weights: dict[Any, float], rng: random.Random) -> Any:  # noqa: ANN401 (a key of `weights`)
    """Draw a random key by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def add_typo(word: str, rng: random.Random) -> str:
    """Swap, drop or double a letter inside a word of four letters or more."""
    if len(word) < 4 or not word.isalpha():
        return word
    index = rng.randrange(1, len(word) - 2)
    a, b = word[index], word[index + 1]
    return word[:index] + rng.choice([b + a, b, a + a + b]) + word[index + 2 :]


def drop_accents(text: str) -> str:
    """Remove accents and umlauts, as typed on a foreign keyboard."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).replace("ß", "ss")


def draw_habits(lang: str, rng: random.Random) -> Callable[[str], str]:
    """Draw the writing habits of one author; return a function that applies them to a text."""
    careless = rng.random() < 0.35
    unaccented = lang != "en" and rng.random() < 0.2
    lower = rng.random() < 0.12

    def spoil_text(text: str) -> str:
        if careless:
            text = " ".join(add_typo(word, rng) if rng.random() < 0.08 else word for word in text.split(" "))
        if unaccented:
            text = drop_accents(text)
        return text.lower() if lower else text

    return spoil_text


def write_segment(leaf: Leaf, lang: str, lexicon: Lexicon, rng: random.Random) -> tuple[str, str]:
    """Return (words, emotion) of one segment. Anger needs a reaction in the words; without one it is disappointment."""
    emotion = {"praise": "joy", "remark": "neutral", "problem": rng.choice(["anger", "disappointment"])}[leaf.mood]
    words = rng.choice(leaf.phrases[lang])
    words = words.format(it=rng.choice(leaf.subjects[lang]), when=rng.choice(lexicon["when"][lang]))
    if rng.random() < 0.6:
        return f"{words}, {rng.choice(lexicon['moods'][emotion][lang])}", emotion
    return words, "disappointment" if emotion == "anger" else emotion


def capitalize_first(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def draw_leaves(all_leaves: list[Leaf], weights: list[float], rng: random.Random) -> list[Leaf]:
    """Draw the different leaves of one comment, mostly of one family."""
    first = rng.choices(all_leaves, weights)[0]
    drawn = [first]
    for _ in range(pick_weighted(SEGMENTS, rng) - 1):
        same_family = rng.random() < SAME_FAMILY
        candidates = [
            (leaf, weight)
            for leaf, weight in zip(all_leaves, weights, strict=True)
            if leaf not in drawn and (not same_family or leaf.path[0] == first.path[0])
        ]
        drawn.append(rng.choices([leaf for leaf, _ in candidates], [weight for _, weight in candidates])[0])
    return drawn


def write_comment(
    number: int, all_leaves: list[Leaf], weights: list[float], lexicon: Lexicon, rng: random.Random
) -> Row:
    """Return one canonical comment. Its text contains the contents of the segments exactly."""
    lang = pick_weighted(LANGUAGES, rng)
    apply_habits = draw_habits(lang, rng)
    text = apply_habits(rng.choice(lexicon["openers"][lang])) + " " if rng.random() < 0.4 else ""
    segments = []
    for position, leaf in enumerate(draw_leaves(all_leaves, weights, rng)):
        if position:
            text += rng.choice(lexicon["links"][lang])
        words, emotion = write_segment(leaf, lang, lexicon, rng)
        if not text or text.rstrip()[-1] in (".!?:" if lang == "de" else ".!?"):
            words = capitalize_first(words)
        content = apply_habits(words)
        text += content
        labels = {f"L{depth}": label for depth, label in enumerate(leaf.path, 1)}
        segments.append({"content": content, **labels, "emotion": emotion})
    text += rng.choice([".", ".", ".", "!", "", "..."])
    if rng.random() < 0.35:
        text += " " + apply_habits(rng.choice(lexicon["closers"][lang]))
    return {"id": f"demo-{number:04}", "lang": lang, "text": text, "segments": segments}


def format_taxonomy_csv(all_leaves: list[Leaf]) -> str:
    """Return the taxonomy as CSV text."""
    return format_csv(["L1", "L2", "L3", "L4", "description"], ([*leaf.path, leaf.description] for leaf in all_leaves))


def make_comments(folder: Path, out: Path) -> list[str]:
    """Write comments.jsonl and taxonomy.csv from the lexicon in `folder`; return the lines to print."""
    lexicon = yaml.safe_load((folder / "feedback.yaml").read_text(encoding="utf-8"))
    rng = random.Random(SEED)
    all_leaves = list_leaves(lexicon)
    weights = [1 / rank for rank in range(1, len(all_leaves) + 1)]
    rng.shuffle(weights)
    rows: dict[str, Row] = {}
    while len(rows) < COMMENTS:
        row = write_comment(len(rows) + 1, all_leaves, weights, lexicon, rng)
        rows.setdefault(row["text"], row)
    write_jsonl(out / "comments.jsonl", rows.values())
    taxonomy = format_taxonomy_csv(all_leaves)
    write_atomically(out / "taxonomy.csv", lambda file: file.write_text(taxonomy, encoding="utf-8"))
    segments = sum(len(row["segments"]) for row in rows.values())
    return [f"{len(rows)} comments, {segments} segments, {len(all_leaves)} leaves"]
