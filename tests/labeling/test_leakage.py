"""Answers in the task's format are detected, with any text around them; ordinary answers are not."""

import pytest

from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import assign_codes
from alloy.labeling.leakage import TaskFormat, consists_of_paths, flag_answer, has_task_keys

REVIEWS = Taxonomy(("L1",), {(label,): "" for label in ("food", "service", "price", "ambience")})
DEVICES = Taxonomy(
    ("L1", "L2"),
    {("Smart lock", "Battery"): "", ("Smart lock", "Jams"): "", ("Price", "Too high"): "", ("Café", "Öffnung"): ""},
)
REVIEW_TASK = {"has_content": False, "emotions": ["neutral", "negative"]}
REVIEW_FORMAT = TaskFormat.from_task(REVIEWS, REVIEW_TASK)
DEVICE_FORMAT = TaskFormat.from_task(DEVICES, {"has_content": True, "emotions": []})
CODE_FORMAT = TaskFormat.from_task(DEVICES, {"has_content": False, "emotions": []}, assign_codes(DEVICES))
REVIEW_ANSWER = '[{"L1": "food", "emotion": "neutral"}]'


@pytest.mark.parametrize(
    "answer",
    [
        REVIEW_ANSWER,
        '{"L1": "food"}',
        f"```json\n{REVIEW_ANSWER}\n```",
        f"Sure! Here is the answer:\n{REVIEW_ANSWER}\nIs there anything else?",
        '[{"L1": "food", "emotion": "neutral"}, {"L1": "ser',  # cut off
        '[{"L1":',
        "[{'L1': 'food'}]",
        '[{"content": "the food was cold", "L1": "food", "emotion": "negative"}]',
        '[\n  {\n    "content": "a \\"quote\\", and more",\n    "L1" : "physics"\n  }\n]',  # not in the taxonomy
    ],
)
def test_an_object_with_the_names_of_levels_is_in_the_task_format(answer: str) -> None:
    assert has_task_keys(answer, REVIEW_FORMAT)


def test_an_answer_that_is_cut_in_its_first_segment_is_in_the_task_format() -> None:
    beginning = '[{"content": "Which of the following is'
    assert has_task_keys(beginning, DEVICE_FORMAT, cut=True)
    assert has_task_keys(f"```json\n{beginning}", DEVICE_FORMAT, cut=True)
    assert not has_task_keys(beginning, DEVICE_FORMAT, cut=False)
    assert not has_task_keys(beginning, REVIEW_FORMAT, cut=True)  # segments of that task have no content
    assert not has_task_keys('[{"content": "Hi", "role": "user"}, {"content": "An', DEVICE_FORMAT, cut=True)
    assert has_task_keys('[{"L1', REVIEW_FORMAT, cut=True) is False  # the key is not there yet


def test_with_codes_a_label_counts_if_its_code_is_known() -> None:
    assert has_task_keys('[{"label": "3", "emotion": "joy"}]', CODE_FORMAT)
    assert not has_task_keys('[{"label": "7"}]', CODE_FORMAT)
    assert not has_task_keys('{"label": "Home", "link": "/"}', CODE_FORMAT)
    assert not has_task_keys('[{"label": "3"}]', REVIEW_FORMAT)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("food", REVIEW_FORMAT),
        (" Food. ", REVIEW_FORMAT),
        ("food, service", REVIEW_FORMAT),
        ("- food\n- service\n- food", REVIEW_FORMAT),
        ('["food", "price"]', REVIEW_FORMAT),
        ("1. food (neutral)\n2. price: negative", REVIEW_FORMAT),
        ("Smart lock > Battery", DEVICE_FORMAT),
        ("smart lock / battery", DEVICE_FORMAT),
        ("Smart lock | Battery, Price → Too high", DEVICE_FORMAT),
        ("Cafe\u0301 > O\u0308ffnung", DEVICE_FORMAT),  # in NFD
    ],
)
def test_an_answer_of_only_paths_consists_of_paths(answer: str, task: TaskFormat) -> None:
    assert consists_of_paths(answer, task)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("", REVIEW_FORMAT),
        ("...", REVIEW_FORMAT),
        ("I like the food.", REVIEW_FORMAT),
        ("food for thought", REVIEW_FORMAT),
        ("The service was good, and so was the price", REVIEW_FORMAT),
        ("food and service", REVIEW_FORMAT),
        ("neutral", REVIEW_FORMAT),
        ("Smart lock", DEVICE_FORMAT),  # not a whole path
        ("Battery > Smart lock", DEVICE_FORMAT),
        ("Price", DEVICE_FORMAT),
    ],
)
def test_other_answers_do_not_consist_of_paths(answer: str, task: TaskFormat) -> None:
    assert not consists_of_paths(answer, task)


def test_a_letter_or_a_number_is_not_a_path_even_if_it_is_a_label() -> None:
    ratings = TaskFormat.from_task(
        Taxonomy(("L1",), {(label,): "" for label in ("A", "B", "1", "10", "good")}), REVIEW_TASK
    )
    assert not any(consists_of_paths(answer, ratings) for answer in ("A", "B.", "1", "10", "1\n10"))
    assert consists_of_paths("good", ratings)


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ada", "age": 36}',
        '```json\n[{"name": "Ada", "emotion": "joy"}]\n```',
        '{"content": "A poem", "emotion": "calm"}',
        "A recipe:\n- 200 g of flour\n- 2 eggs\n- a pinch of salt\n\n1. Mix.\n2. Bake the food for an hour.",
        "The price of food rises, and the service is slow.",
        'message = {"role": "user", "content": text}\nreturn json.dumps([message])',
        'print({"label": "food", "value": 3})',
        "A CPU has three caches, L1: 32 KB, L2: 256 KB and L3: 8 MB.",
        "Level 1 (L1), and then L2.",
        "The answer is C.",
        "42",
        "[1, 2, 3]",
    ],
)
def test_ordinary_answers_are_not_leaks(answer: str) -> None:
    for task in (REVIEW_FORMAT, DEVICE_FORMAT, CODE_FORMAT):
        assert flag_answer(answer, task)["leak"] == 0


def test_a_label_that_is_one_of_the_choices_is_not_a_leak() -> None:
    assert flag_answer("Food", REVIEW_FORMAT)["leak"] == 1
    assert flag_answer("Food", REVIEW_FORMAT, is_choice=True)["leak"] == 0
    assert flag_answer(REVIEW_ANSWER, REVIEW_FORMAT, is_choice=True)["leak"] == 1


def test_broken_answers_are_distinguished_from_leaked_ones() -> None:
    assert flag_answer("\u200b\u2060\u115f\n", REVIEW_FORMAT)["empty"] == 1
    assert flag_answer(" \n", REVIEW_FORMAT) == {"leak": 0, "empty": 1, "cut": 0, "loops": 0}
    assert flag_answer("It is on at seven, and", REVIEW_FORMAT, cut=True) == {
        "leak": 0,
        "empty": 0,
        "cut": 1,
        "loops": 0,
    }
    assert flag_answer("The lamp is on. " * 6, REVIEW_FORMAT) == {"leak": 0, "empty": 0, "cut": 0, "loops": 1}
    assert flag_answer(", ".join(["food"] * 9), REVIEW_FORMAT) == {"leak": 1, "empty": 0, "cut": 0, "loops": 1}


def test_long_answers_are_judged_in_linear_time() -> None:
    for answer in ("food " * 50_000, "{" * 50_000, '[{"content": "' * 10_000, '{"a": ' * 20_000):
        flag_answer(answer, REVIEW_FORMAT, cut=True)
