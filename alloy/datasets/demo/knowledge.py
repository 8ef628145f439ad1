"""Make the demo's general data, its benchmark and its prompts with instructions from knowledge.yaml.

The benchmark asks for facts of the training data in other phrasings. The prompts are new tasks of the same kinds as in
the training data (tasks.py).
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from alloy.core.files import Row, write_jsonl
from alloy.datasets.demo.instructions import make_prompts
from alloy.datasets.demo.tasks import TASK_CYCLE, Material, add_words

SEED = 1
ARITHMETIC_FACTS = 100
TEST, DEV = 40, 5  # benchmark questions per subject
PHRASINGS = 8  # training phrasings per fact
TASK_EXAMPLES = 5600  # examples of the tasks in tasks.py
LICENSE = "Apache-2.0"  # like the whole project
OPENERS = ["Quick question: ", "Please answer: ", "I wonder: ", "Hello! ", "For a quiz: ", "One thing: "]
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"

Subject = dict[str, Any]


def make_arithmetic_facts(rng: random.Random) -> dict[str, str]:
    """Return sums, differences and products of small numbers with their results."""
    digits = range(2, 10)
    facts = {f"{a} plus {b}": str(a + b) for a in digits for b in digits}
    facts |= {f"{a + b} minus {b}": str(a) for a in digits for b in digits}
    facts |= {f"{a} times {b}": str(a * b) for a in digits for b in digits}
    return dict(rng.sample(sorted(facts.items()), ARITHMETIC_FACTS))


def fill_phrasing(phrasing: str, key: str) -> str:
    """Return the question about the fact `key`, with a capital first letter."""
    question = phrasing.format(q=key)
    return question[0].upper() + question[1:]


def build_example(identity: str, category: str, question: str, answer: str) -> Row:
    """Return one canonical general example."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    fields = {"category": category, "source": "demo_knowledge", "lang": "en", "license": LICENSE}
    return {"id": identity, **fields, "messages": turns}


def yield_questions(subjects: dict[str, Subject], rng: random.Random) -> Iterator[Row]:
    """Yield every fact in some of the training phrasings, sometimes with an opener."""
    for name, subject in subjects.items():
        for key, answer in subject["facts"].items():
            for number, phrasing in enumerate(rng.sample(subject["train"], PHRASINGS)):
                opener = rng.choice(OPENERS) if rng.random() < 0.25 else ""
                yield build_example(f"{name}-{key}-{number}", name, opener + fill_phrasing(phrasing, key), answer)


def classify_answer(answer: str) -> str:
    """Return the kind of an answer (number, month, day or word), so that wrong choices can be of the same kind."""
    if answer.isdigit():
        return "number"
    return "month" if answer in MONTHS.split() else "day" if answer in DAYS.split() else "word"


def draw_wrong_choices(answer: str, answers: set[str], rng: random.Random) -> list[str]:
    """Draw three other answers of the subject, of the same kind if there are enough."""
    others = sorted(answers - {answer})
    same_kind = [other for other in others if classify_answer(other) == classify_answer(answer)]
    return rng.sample(same_kind if len(same_kind) >= 3 else others, 3)


def make_questions(subjects: dict[str, Subject], rng: random.Random) -> dict[str, list[Row]]:
    """Return `test` and `dev` questions with four choices. No fact is in both."""
    splits: dict[str, list[Row]] = {"test": [], "dev": []}
    for name, subject in subjects.items():
        facts = rng.sample(sorted(subject["facts"].items()), TEST + DEV)
        for number, (key, answer) in enumerate(facts):
            choices = [answer, *draw_wrong_choices(answer, set(subject["facts"].values()), rng)]
            rng.shuffle(choices)
            question = fill_phrasing(rng.choice(subject["test"]), key)
            row = {"subject": name, "question": question, "choices": choices, "answer": choices.index(answer)}
            splits["test" if number < TEST else "dev"].append(row)
    return splits


def yield_tasks(material: Material, rng: random.Random) -> Iterator[Row]:
    """Yield examples of the tasks in tasks.py, each question once."""
    seen: set[str] = set()
    for number in range(TASK_EXAMPLES):
        kind, task = TASK_CYCLE[number % len(TASK_CYCLE)]
        question, answer = task(material, rng)
        if question not in seen:
            seen.add(question)
            yield build_example(f"{kind}-{number}", kind, question, answer)


class Knowledge(NamedTuple):
    """All data made from the facts: general examples, questions by split, prompts with instructions."""

    examples: list[Row]
    questions: dict[str, list[Row]]
    prompts: list[Row]
    subjects: int


def make_knowledge(folder: Path) -> Knowledge:
    """Return examples, benchmark and prompts. They share one random generator, so they are made together."""
    source = yaml.safe_load((folder / "knowledge.yaml").read_text(encoding="utf-8"))
    feedback = yaml.safe_load((folder / "feedback.yaml").read_text(encoding="utf-8"))
    material = add_words(source["instructions"], feedback)
    rng = random.Random(SEED)
    subjects = source["subjects"]
    subjects["arithmetic"]["facts"] = make_arithmetic_facts(rng)
    rows = [*yield_questions(subjects, rng), *yield_tasks(material, rng)]
    rng.shuffle(rows)
    splits = make_questions(subjects, rng)
    training_prompts = {row["messages"][0]["content"] for row in rows}
    prompts = [row for row, _ in make_prompts(material, training_prompts, random.Random(SEED))]
    return Knowledge(rows, splits, prompts, len(subjects))


def make_general(folder: Path, out: Path) -> list[str]:
    """Write general.jsonl; return the lines to print."""
    made = make_knowledge(folder)
    write_jsonl(out / "general.jsonl", made.examples)
    return [f"{len(made.examples)} examples"]


def make_benchmark(folder: Path, out: Path) -> list[str]:
    """Write test.jsonl and dev.jsonl; return the lines to print."""
    made = make_knowledge(folder)
    for split, rows in made.questions.items():
        write_jsonl(out / f"{split}.jsonl", rows)
    return [f"{len(made.questions['test'])} benchmark questions in {made.subjects} subjects"]


def make_instructions(folder: Path, out: Path) -> list[str]:
    """Write ifeval.jsonl; return the lines to print."""
    made = make_knowledge(folder)
    write_jsonl(out / "ifeval.jsonl", made.prompts)
    return [f"{len(made.prompts)} prompts with instructions"]
