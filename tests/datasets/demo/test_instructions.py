"""The demo's prompts with instructions: right answers follow all, labels follow few, training data has none of them."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml

from alloy.core.files import Row, read_jsonl
from alloy.datasets.demo import knowledge
from alloy.datasets.demo.instructions import PROMPTS, REQUIREMENTS, make_prompts
from alloy.datasets.demo.tasks import Task, add_words
from alloy.formats.ifeval import load_prompts
from alloy.formats.ifeval_checks import verify_answer

DEMO = Path(__file__).parents[3] / "data" / "demo"
FEEDBACK, KNOWLEDGE = (yaml.safe_load((DEMO / f"{name}.yaml").read_text()) for name in ("feedback", "knowledge"))
MATERIAL = add_words(KNOWLEDGE["instructions"], FEEDBACK)
MATERIAL_WITH_NEW_LISTS = {**MATERIAL, "lists": {**MATERIAL["lists"], **MATERIAL["lists_not_taught"]}}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the demo's general data in a temporary folder."""
    folder = tmp_path_factory.mktemp("demo_folder")
    knowledge.make_general(DEMO, folder)
    knowledge.make_instructions(DEMO, folder)
    return folder


def find_training_prompts(demo_folder: Path) -> set[str]:
    return {row["messages"][0]["content"] for row in read_jsonl(demo_folder / "general.jsonl")}


@pytest.fixture(scope="module")
def prompts_with_answers(demo_folder: Path) -> list[tuple[Row, str]]:
    """Return each prompt with its right answer."""
    return list(make_prompts(MATERIAL, find_training_prompts(demo_folder), random.Random(knowledge.SEED)))


def is_followed(row: Row, answer: str) -> bool:
    return verify_answer(row, [answer])["prompt_level_strict_acc"]


def get_kind(row: Row) -> str:
    """Return the task of a prompt."""
    openings = {
        "List ": "ask_for_bullet_list",
        "Repeat ": "ask_for_copy",
        "As JSON": "ask_for_json",
        "Split ": "ask_for_parts",
    }
    openings |= {"Write in capital ": "ask_for_capitals", "Give only ": "ask_for_one_word"}
    (name,) = {name for words, name in openings.items() if words in row["prompt"]}
    return name


def get_label(row: Row) -> str:
    """Return the answer of a model that labels every prompt: one label, with the whole prompt as content."""
    label = {"L1": "App", "L2": "Reliability", "L3": "Crashes", "L4": "On start", "emotion": "anger"}
    return json.dumps([{"content": row["prompt"], **label}], ensure_ascii=False)


def test_the_file_has_canonical_prompts_and_is_deterministic(demo_folder: Path, prompts_with_answers) -> None:
    assert load_prompts(demo_folder / "ifeval.jsonl") == [row for row, _ in prompts_with_answers]


def test_there_are_twenty_prompts_of_each_kind_and_all_differ(prompts_with_answers) -> None:
    assert Counter(get_kind(row) for row, _ in prompts_with_answers) == {
        task.__name__: PROMPTS for task in REQUIREMENTS
    }
    assert len({row["prompt"] for row, _ in prompts_with_answers}) == len(prompts_with_answers)
    assert [row["key"] for row, _ in prompts_with_answers] == list(range(1, len(prompts_with_answers) + 1))


def test_no_prompt_is_in_the_training_data(demo_folder: Path, prompts_with_answers) -> None:
    assert find_training_prompts(demo_folder).isdisjoint(row["prompt"] for row, _ in prompts_with_answers)


def test_right_answers_follow_every_instruction(prompts_with_answers) -> None:
    assert [(row["prompt"], answer) for row, answer in prompts_with_answers if not is_followed(row, answer)] == []


@pytest.mark.parametrize("task", REQUIREMENTS)
def test_right_answers_to_any_prompt_follow_every_instruction(task: Task) -> None:
    rng = random.Random(99)
    checked = 0
    for _ in range(300):
        prompt, answer = task(MATERIAL_WITH_NEW_LISTS, rng)
        if requirements := REQUIREMENTS[task](answer):
            ids, kwargs = ([requirement[part] for requirement in requirements] for part in (0, 1))
            row = {"key": 1, "prompt": prompt, "instruction_id_list": ids, "kwargs": kwargs}
            assert is_followed(row, answer), (prompt, answer)
            checked += 1
    assert checked > 30


def test_labels_follow_only_the_instructions_that_ask_for_json(prompts_with_answers) -> None:
    passed = Counter(get_kind(row) for row, _ in prompts_with_answers if is_followed(row, get_label(row)))
    assert passed["ask_for_json"] == passed["ask_for_parts"] == PROMPTS
    # In about one prompt in a hundred, a word of the text is in capitals in addition to the four levels.
    assert passed.total() - 2 * PROMPTS <= 2


def test_the_answer_to_another_kind_of_task_mostly_fails(prompts_with_answers) -> None:
    other_answers = [answer for _, answer in prompts_with_answers[PROMPTS:] + prompts_with_answers[:PROMPTS]]
    passed = sum(is_followed(row, other) for (row, _), other in zip(prompts_with_answers, other_answers, strict=True))
    assert passed < len(prompts_with_answers) / 3
