"""Make the demo's general data, its benchmark and its prompts with instructions from knowledge.yaml.

Reads   data/demo/knowledge.yaml, data/demo/feedback.yaml (its words alone, shuffled)
Writes  data/demo/general.jsonl (questions and answers, and tasks of other shapes, in chat form),
        data/demo/benchmark/{test,dev}.jsonl (MMLU's form: subject, question, choices, answer),
        data/demo/ifeval.jsonl (IFEval's form: key, prompt, instruction_id_list, kwargs)
Run     dvc repro data/demo/dvc.yaml:knowledge

The benchmark asks facts that training holds, in phrasings that training does not. The prompts are tasks of shapes that
training holds (tasks.py), and none of them stands there.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import Row, write_jsonl
from alloy.core.stage import run
from data.demo.instructions import instructions
from data.demo.tasks import TASK_KINDS, Material, with_words

HERE = Path("data/demo")
SEED = 1
ARITHMETIC_FACTS = 100
TEST, DEV = 40, 5  # benchmark questions a subject
PHRASINGS = 8  # of the training phrasings, drawn for each fact
TASKS = 5600  # examples of other shapes
LICENCE = "Apache-2.0"  # as for all of this project
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
    about = {"category": category, "source": "demo_knowledge", "lang": "en", "license": LICENCE}
    return {"id": identity, **about, "messages": turns}


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


def tasks(material: Material, rng: random.Random) -> Iterator[Row]:
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
    feedback = yaml.safe_load((HERE / "feedback.yaml").read_text(encoding="utf-8"))
    material = with_words(source["instructions"], feedback)
    rng = random.Random(SEED)
    subjects = source["subjects"]
    subjects["arithmetic"]["facts"] = arithmetic_facts(rng)
    rows = [*questions(subjects, rng), *tasks(material, rng)]
    rng.shuffle(rows)
    write_jsonl(HERE / "general.jsonl", rows)
    splits = benchmark(subjects, rng)
    for split, split_rows in splits.items():
        write_jsonl(HERE / "benchmark" / f"{split}.jsonl", split_rows)
    taught = {row["messages"][0]["content"] for row in rows}
    prompts = [row for row, _ in instructions(material, taught, random.Random(SEED))]
    write_jsonl(HERE / "ifeval.jsonl", prompts)
    print(
        f"knowledge: {len(rows)} examples, {len(splits['test'])} benchmark questions in {len(subjects)} subjects, "
        f"{len(prompts)} prompts with instructions"
    )


if __name__ == "__main__":
    run(main)
