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
UNTAUGHT = {**MATERIAL, "lists": {**MATERIAL["lists"], **MATERIAL["lists_not_taught"]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the demo's general data in a temporary folder."""
    folder = tmp_path_factory.mktemp("world")
    knowledge.make_general(DEMO, folder)
    knowledge.make_instructions(DEMO, folder)
    return folder


def find_training_prompts(world: Path) -> set[str]:
    return {row["messages"][0]["content"] for row in read_jsonl(world / "general.jsonl")}


@pytest.fixture(scope="module")
def answered(world: Path) -> list[tuple[Row, str]]:
    """Return each prompt with its right answer."""
    return list(make_prompts(MATERIAL, find_training_prompts(world), random.Random(knowledge.SEED)))


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


def test_the_file_holds_canonical_prompts_and_is_the_same_every_time(world: Path, answered) -> None:
    assert load_prompts(world / "ifeval.jsonl") == [row for row, _ in answered]


def test_there_are_twenty_prompts_of_each_kind_and_all_differ(answered) -> None:
    assert Counter(get_kind(row) for row, _ in answered) == {task.__name__: PROMPTS for task in REQUIREMENTS}
    assert len({row["prompt"] for row, _ in answered}) == len(answered)
    assert [row["key"] for row, _ in answered] == list(range(1, len(answered) + 1))


def test_no_prompt_is_in_the_training_data(world: Path, answered) -> None:
    assert find_training_prompts(world).isdisjoint(row["prompt"] for row, _ in answered)


def test_right_answers_follow_every_instruction(answered) -> None:
    assert [(row["prompt"], answer) for row, answer in answered if not is_followed(row, answer)] == []


@pytest.mark.parametrize("task", REQUIREMENTS)
def test_right_answers_to_any_prompt_follow_every_instruction(task: Task) -> None:
    rng = random.Random(99)
    asked = 0
    for _ in range(300):
        prompt, answer = task(UNTAUGHT, rng)
        if known := REQUIREMENTS[task](answer):
            ids, kwargs = ([one[part] for one in known] for part in (0, 1))
            row = {"key": 1, "prompt": prompt, "instruction_id_list": ids, "kwargs": kwargs}
            assert is_followed(row, answer), (prompt, answer)
            asked += 1
    assert asked > 30


def test_labels_in_json_come_after_json_only(answered) -> None:
    passed = Counter(get_kind(row) for row, _ in answered if is_followed(row, get_label(row)))
    assert passed["ask_for_json"] == passed["ask_for_parts"] == PROMPTS
    # A word of the text may be in capitals, beside the four levels: one prompt in a hundred.
    assert passed.total() - 2 * PROMPTS <= 2


def test_the_answer_to_another_kind_of_task_mostly_fails(answered) -> None:
    others = [answer for _, answer in answered[PROMPTS:] + answered[:PROMPTS]]
    passed = sum(is_followed(row, other) for (row, _), other in zip(answered, others, strict=True))
    assert passed < len(answered) / 3
