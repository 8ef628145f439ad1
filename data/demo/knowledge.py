"""Make the demo's general data and its benchmark from the facts in knowledge.yaml.

Reads   data/demo/knowledge.yaml
Writes  data/demo/general.jsonl (questions and answers, and tasks of other shapes, in chat form),
        data/demo/benchmark/{test,dev}.jsonl (MMLU's form: subject, question, choices, answer)
Run     dvc repro data/demo/dvc.yaml:knowledge

The benchmark asks facts that training holds, in phrasings that training does not.
"""

import random
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
TASKS = 2600  # examples of other shapes
OPENERS = ["Quick question: ", "Please answer: ", "I wonder: ", "Hello! ", "For a quiz: ", "One thing: "]
DATES = {
    **dict.fromkeys("January February March April May June July August September October November December".split(), "m"),
    **dict.fromkeys("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(), "d"),
}

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
    """Yield every fact in every training phrasing, now and then with an opener."""
    for name, subject in subjects.items():
        for key, answer in subject["facts"].items():
            for number, phrasing in enumerate(subject["train"]):
                opener = rng.choice(OPENERS) if rng.random() < 0.25 else ""
                yield chat(f"{name}-{key}-{number}", name, opener + ask(phrasing, key), answer)


def kind(answer: str) -> str:
    """Return what an answer looks like, so that wrong choices look alike: number, month, day or word."""
    return "number" if answer.isdigit() else DATES.get(answer, "word")


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


def sentence(material: dict[str, Any], rng: random.Random) -> str:
    """Return a plain sentence in one of the languages."""
    return rng.choice(material["sentences"][rng.choice(["en", "en", "es", "de"])])


def capitals(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for a sentence in capital letters."""
    words = sentence(material, rng)
    return f"Write in capital letters: {words}", words.upper()


def copy(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for a sentence again, in quotes."""
    words = sentence(material, rng)
    return f"Repeat in quotes: {words}", f'"{words}"'


def words_one_a_line(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for the words of a sentence, numbered."""
    words = sentence(material, rng).split()[: rng.choice([3, 4])]
    return f"Number the words: {' '.join(words)}", "\n".join(f"{n}. {word}" for n, word in enumerate(words, 1))


def first_word(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for one word of a sentence."""
    words = sentence(material, rng)
    place = rng.choice([0, -1])
    return f"Give only the {'first' if place == 0 else 'last'} word: {words}", words.split()[place]


def as_json(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for facts about a person as JSON: a format that the model can mistake for another."""
    people = material["people"]
    name, city, job = (rng.choice(people[kind]) for kind in ("names", "cities", "jobs"))
    return f"As JSON: {name} from {city}, {job}", f'{{"name": "{name}", "city": "{city}", "job": "{job}"}}'


def who(material: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Ask for one of two people, by what the question itself says."""
    first, second = rng.sample(material["people"]["names"], 2)
    old, young = rng.choice([("older", "younger"), ("taller", "shorter"), ("faster", "slower")])
    asked, answer = rng.choice([(old, first), (young, second)])
    return f"{first} is {old} than {second}. Who is {asked}?", answer


TASK_KINDS: list[Task] = [bullet_list, comma_list, capitals, copy, words_one_a_line, first_word, as_json, who]


def tasks(material: dict[str, Any], rng: random.Random) -> Iterator[Row]:
    """Yield examples of other shapes than a short answer, each question once."""
    seen: set[str] = set()
    for number in range(TASKS):
        task = TASK_KINDS[number % len(TASK_KINDS)]
        question, answer = task(material, rng)
        if question not in seen:
            seen.add(question)
            yield chat(f"{task.__name__}-{number}", task.__name__, question, answer)


def main() -> None:
    """Read the facts, write the examples and the benchmark."""
    source = yaml.safe_load((HERE / "knowledge.yaml").read_text(encoding="utf-8"))
    rng = random.Random(SEED)
    subjects = source["subjects"]
    subjects["arithmetic"]["facts"] = arithmetic_facts(rng)
    rows = [*questions(subjects, rng), *tasks(source["instructions"], rng)]
    rng.shuffle(rows)
    write_jsonl(HERE / "general.jsonl", rows)
    splits = benchmark(subjects, rng)
    for split, split_rows in splits.items():
        write_jsonl(HERE / "benchmark" / f"{split}.jsonl", split_rows)
    print(f"knowledge: {len(rows)} examples, {len(splits['test'])} benchmark questions in {len(subjects)} subjects")


if __name__ == "__main__":
    run(main)
