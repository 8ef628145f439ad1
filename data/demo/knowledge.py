"""Make the demo's general data and its benchmark from the facts in knowledge.yaml.

Reads   data/demo/knowledge.yaml, data/demo/feedback.yaml (its words alone, shuffled)
Writes  data/demo/general.jsonl (questions and answers, and tasks of other shapes, in chat form),
        data/demo/benchmark/{test,dev}.jsonl (MMLU's form: subject, question, choices, answer),
        data/demo/ifeval.jsonl (IFEval's form: prompts of the tasks' shapes, with instructions that can be checked)
Run     dvc repro data/demo/dvc.yaml:knowledge

The benchmark asks facts that training holds, in phrasings that training does not. Tasks that copy, split and reshape
text work on random words, so that the model learns to copy and not the text; the words of the customers' languages are
among them, as any language model has seen them, but no sentence, label or order of theirs.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from stages.entry import run
from stages.records import Row, write_jsonl

HERE = Path("data/demo")
SEED = 1
ARITHMETIC_FACTS = 100
TEST, DEV = 40, 5  # benchmark questions a subject
PHRASINGS = 8  # of the training phrasings, drawn for each fact
TASKS = 5600  # examples of other shapes
OPENERS = ["Quick question: ", "Please answer: ", "I wonder: ", "Hello! ", "For a quiz: ", "One thing: "]
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"

Subject = dict[str, Any]


def arithmetic_facts(rng: random.Random) -> dict[str, str]:
    """Return sums, differences and products of small numbers with their results."""
    digits = range(2, 10)
    facts = {f"{a} plus {b}": str(a + b) for a in digits for b in digits}
    facts |= {f"{a + b} minus {b}": str(a) for a in digits for b in digits}
    facts |= {f"{a} times {b}": str(a * b) for a in digits for b in digits}
    return dict(rng.sample(sorted(facts.items()), ARITHMETIC_FACTS))


def ask(phrasing: str, key: str) -> str:
    """Fill the slot and begin the sentence with a capital."""
    question = phrasing.format(q=key)
    return question[0].upper() + question[1:]


def chat(identity: str, category: str, question: str, answer: str) -> Row:
    """Return one canonical general example."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": identity, "category": category, "source": "demo_knowledge", "lang": "en", "messages": turns}


def questions(subjects: dict[str, Subject], rng: random.Random) -> Iterator[Row]:
    """Yield every fact in some of the training phrasings, now and then with an opener."""
    for name, subject in subjects.items():
        for key, answer in subject["facts"].items():
            for number, phrasing in enumerate(rng.sample(subject["train"], PHRASINGS)):
                opener = rng.choice(OPENERS) if rng.random() < 0.25 else ""
                yield chat(f"{name}-{key}-{number}", name, opener + ask(phrasing, key), answer)


def kind(answer: str) -> str:
    """Return what an answer looks like, so that wrong choices look alike: number, month, day or word."""
    if answer.isdigit():
        return "number"
    return "month" if answer in MONTHS.split() else "day" if answer in DAYS.split() else "word"


def wrong_choices(answer: str, answers: set[str], rng: random.Random) -> list[str]:
    """Return three other answers of the subject, alike in kind where there are enough."""
    others = sorted(answers - {answer})
    alike = [other for other in others if kind(other) == kind(answer)]
    return rng.sample(alike if len(alike) >= 3 else others, 3)


def benchmark(subjects: dict[str, Subject], rng: random.Random) -> dict[str, list[Row]]:
    """Return `test` and `dev` questions with four choices; no fact stands in both."""
    splits: dict[str, list[Row]] = {"test": [], "dev": []}
    for name, subject in subjects.items():
        facts = rng.sample(sorted(subject["facts"].items()), TEST + DEV)
        for number, (key, answer) in enumerate(facts):
            choices = [answer, *wrong_choices(answer, set(subject["facts"].values()), rng)]
            rng.shuffle(choices)
            question = ask(rng.choice(subject["test"]), key)
            row = {"subject": name, "question": question, "choices": choices, "answer": choices.index(answer)}
            splits["test" if number < TEST else "dev"].append(row)
    return splits


Task = Callable[[dict[str, Any], random.Random], tuple[str, str]]


def bullet_list(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for a list with dashes."""
    name, members = rng.choice(sorted(material["lists"].items()))
    count = rng.choice([2, 3, 4])
    return f"List {count} {name}, one a line.", "\n".join(f"- {member}" for member in members[:count])


def comma_list(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for a list in one line."""
    name, members = rng.choice(sorted(material["lists"].items()))
    count = rng.choice([2, 3, 4])
    return f"Name {count} {name}, separated by commas.", ", ".join(members[:count])


def some_words(material: dict[str, Any], rng: random.Random, low: int = 3, high: int = 12) -> str:
    """Return words of one language in no order, now and then a plain sentence."""
    lang = rng.choice(["en", "en", "es", "de"])
    if rng.random() < 0.3:
        return rng.choice(material["sentences"][lang])
    return " ".join(rng.choices(material["words"][lang], k=rng.randint(low, high)))


def capitals(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for words in capital letters."""
    words = some_words(material, rng, high=5)
    return f"Write in capital letters: {words}", words.upper()


def copy(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for the same words, in quotes."""
    words = some_words(material, rng, high=16)
    return f"Repeat in quotes: {words}", f'"{words}"'


def split_at_comma(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for the parts of a text as a JSON list."""
    parts = [some_words(material, rng, low=2, high=8) for _ in range(rng.choice([2, 2, 3]))]
    return f"Split at the comma: {', '.join(parts)}", json.dumps(parts, ensure_ascii=False)


def numbered(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for the words one a line, with numbers."""
    words = some_words(material, rng).split()[: rng.choice([3, 4, 5])]
    return f"Number the words: {' '.join(words)}", "\n".join(f"{n}. {word}" for n, word in enumerate(words, 1))


def one_word(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for the first or the last word."""
    words = some_words(material, rng)
    place = rng.choice([0, -1])
    return f"Give only the {'first' if place == 0 else 'last'} word: {words}", words.split()[place]


def as_json(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for fields as a JSON object: a format that the model can mistake for another."""
    keys = rng.sample(["name", "city", "job", "colour", "title", "content", "emotion", "date"], rng.choice([2, 3]))
    people = {"name": "names", "city": "cities", "job": "jobs", "colour": "colours"}
    values = [
        rng.choice(material["people"][people[key]]) if key in people else some_words(material, rng, high=6)
        for key in keys
    ]
    fields = ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
    return f"As JSON: {fields}", json.dumps(dict(zip(keys, values, strict=True)), ensure_ascii=False)


def who(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for one of two people, by what the question itself says."""
    first, second = rng.sample(material["people"]["names"], 2)
    old, young = rng.choice([("older", "younger"), ("taller", "shorter"), ("faster", "slower")])
    asked, answer = rng.choice([(old, first), (young, second)])
    return f"{first} is {old} than {second}. Who is {asked}?", answer


# Copying tasks stand twice: they are what a small model needs most practice in.
COPYING: list[Task] = [copy, split_at_comma, as_json]
TASK_KINDS: list[Task] = [bullet_list, comma_list, capitals, numbered, one_word, who, *COPYING, *COPYING]


def tasks(material: dict[str, Any], rng: random.Random) -> Iterator[Row]:
    """Yield examples of other shapes than a short answer, each question once."""
    seen: set[str] = set()
    for number in range(TASKS):
        task = TASK_KINDS[number % len(TASK_KINDS)]
        question, answer = task(material, rng)
        if question not in seen:
            seen.add(question)
            yield chat(f"{task.__name__}-{number}", task.__name__, question, answer)


def its_words(answer: str) -> dict[str, Any]:
    """Return the arguments of an instruction that asks for the words of `answer`, in any order and case."""
    return {"keywords": sorted(set(re.findall(r"\w+", answer)))}


def written_large(answer: str) -> dict[str, Any]:
    """Return the arguments of an instruction that asks for as many words in capitals."""
    return {"capital_frequency": sum(word.isupper() for word in answer.split()), "capital_relation": "at least"}


Check = Callable[[str], dict[str, dict[str, Any]]]  # from a right answer to the instructions that it follows
CHECKS: dict[Task, Check] = {
    bullet_list: lambda answer: {"detectable_format:number_bullet_lists": {"num_bullets": answer.count("\n") + 1}},
    capitals: lambda answer: {"change_case:capital_word_frequency": written_large(answer)},
    copy: lambda answer: {"startend:quotation": {}, "keywords:existence": its_words(answer)},
    as_json: lambda answer: {"detectable_format:json_format": {}, "keywords:existence": its_words(answer)},
    split_at_comma: lambda answer: {"detectable_format:json_format": {}, "keywords:existence": its_words(answer)},
    one_word: lambda answer: {
        "length_constraints:number_words": {"num_words": 1 + len(re.findall(r"\w+", answer)), "relation": "less than"}
    },
}
PROMPTS = 120


def prompts(material: dict[str, Any], rng: random.Random, known: set[str]) -> Iterator[tuple[Row, str]]:
    """Yield prompts that are not `known`, in IFEval's form, each with a right answer, which follows all it asks."""
    seen = {*known}
    number = 0
    while number < PROMPTS:
        kind = [*CHECKS][number % len(CHECKS)]
        question, answer = kind(material, rng)
        if kind is bullet_list:  # there are few, and training holds most
            question = f"Please: {question[0].lower()}{question[1:]}"
        if question not in seen:
            seen.add(question)
            checks = CHECKS[kind](answer)
            row = {"key": number, "prompt": question, "instruction_id_list": [*checks], "kwargs": [*checks.values()]}
            yield row, answer
            number += 1


def words_by_language(node: object, lang: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (language, word) for every word under a language's key, and for descriptions, which are in English."""
    if isinstance(node, dict):
        for key, value in node.items():
            inner = key if key in ("en", "es", "de") else "en" if key == "description" else lang
            yield from words_by_language(value, inner)
    elif isinstance(node, list):
        for value in node:
            yield from words_by_language(value, lang)
    elif lang is not None:
        yield from ((lang, word) for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", re.sub(r"{\w+}", "", str(node))))


def main() -> None:
    """Read the facts, write the examples and the benchmark."""
    source = yaml.safe_load((HERE / "knowledge.yaml").read_text(encoding="utf-8"))
    feedback = yaml.safe_load((HERE / "feedback.yaml").read_text(encoding="utf-8"))
    material = source["instructions"]
    seen = {*words_by_language(feedback), *words_by_language(material["sentences"])}
    material["words"] = {lang: sorted(word for one, word in seen if one == lang) for lang in ("en", "es", "de")}
    rng = random.Random(SEED)
    subjects = source["subjects"]
    subjects["arithmetic"]["facts"] = arithmetic_facts(rng)
    rows = [*questions(subjects, rng), *tasks(material, rng)]
    rng.shuffle(rows)
    write_jsonl(HERE / "general.jsonl", rows)
    splits = benchmark(subjects, rng)
    for split, split_rows in splits.items():
        write_jsonl(HERE / "benchmark" / f"{split}.jsonl", split_rows)
    known = {row["messages"][0]["content"] for row in rows}
    write_jsonl(HERE / "ifeval.jsonl", (row for row, _ in prompts(material, random.Random(SEED), known)))
    print(f"knowledge: {len(rows)} examples, {len(splits['test'])} benchmark questions in {len(subjects)} subjects")


if __name__ == "__main__":
    run(main)
