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
PLAIN = {"has_content": False, "emotions": ["neutral", "negative"]}
FLAT = TaskFormat.from_task(REVIEWS, PLAIN)
DEEP = TaskFormat.from_task(DEVICES, {"has_content": True, "emotions": []})
CODED = TaskFormat.from_task(DEVICES, {"has_content": False, "emotions": []}, assign_codes(DEVICES))
ONE = '[{"L1": "food", "emotion": "neutral"}]'


@pytest.mark.parametrize(
    "answer",
    [
        ONE,
        '{"L1": "food"}',
        f"```json\n{ONE}\n```",
        f"Sure! Here is the answer:\n{ONE}\nIs there anything else?",
        '[{"L1": "food", "emotion": "neutral"}, {"L1": "ser',  # cut off
        '[{"L1":',
        "[{'L1': 'food'}]",
        '[{"content": "the food was cold", "L1": "food", "emotion": "negative"}]',
        '[\n  {\n    "content": "a \\"quote\\", and more",\n    "L1" : "physics"\n  }\n]',  # not in the taxonomy
    ],
)
def test_an_object_with_the_names_of_levels_is_in_the_task_format(answer: str) -> None:
    assert has_task_keys(answer, FLAT)


def test_an_answer_cut_in_its_first_segment_counts_if_it_starts_like_an_answer() -> None:
    started = '[{"content": "Which of the following is'
    assert has_task_keys(started, DEEP, cut=True)
    assert has_task_keys(f"```json\n{started}", DEEP, cut=True)
    assert not has_task_keys(started, DEEP, cut=False)
    assert not has_task_keys(started, FLAT, cut=True)  # segments of that task have no content
    assert not has_task_keys('[{"content": "Hi", "role": "user"}, {"content": "An', DEEP, cut=True)
    assert has_task_keys('[{"L1', FLAT, cut=True) is False  # the key is not there yet


def test_with_codes_a_label_counts_if_its_code_is_known() -> None:
    assert has_task_keys('[{"label": "3", "emotion": "joy"}]', CODED)
    assert not has_task_keys('[{"label": "7"}]', CODED)
    assert not has_task_keys('{"label": "Home", "link": "/"}', CODED)
    assert not has_task_keys('[{"label": "3"}]', FLAT)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("food", FLAT),
        (" Food. ", FLAT),
        ("food, service", FLAT),
        ("- food\n- service\n- food", FLAT),
        ('["food", "price"]', FLAT),
        ("1. food (neutral)\n2. price: negative", FLAT),
        ("Smart lock > Battery", DEEP),
        ("smart lock / battery", DEEP),
        ("Smart lock | Battery, Price → Too high", DEEP),
        ("Cafe\u0301 > O\u0308ffnung", DEEP),  # in NFD
    ],
)
def test_an_answer_that_is_paths_and_nothing_else_names_paths(answer: str, task: TaskFormat) -> None:
    assert consists_of_paths(answer, task)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("", FLAT),
        ("...", FLAT),
        ("I like the food.", FLAT),
        ("food for thought", FLAT),
        ("The service was good, and so was the price", FLAT),
        ("food and service", FLAT),
        ("neutral", FLAT),
        ("Smart lock", DEEP),  # not a whole path
        ("Battery > Smart lock", DEEP),
        ("Price", DEEP),
    ],
)
def test_other_answers_name_no_path(answer: str, task: TaskFormat) -> None:
    assert not consists_of_paths(answer, task)


def test_a_letter_or_a_digit_is_an_answer_whatever_the_taxonomy_calls_its_labels() -> None:
    stars = TaskFormat.from_task(Taxonomy(("L1",), {(label,): "" for label in ("A", "B", "1", "10", "good")}), PLAIN)
    assert not any(consists_of_paths(answer, stars) for answer in ("A", "B.", "1", "10", "1\n10"))
    assert consists_of_paths("good", stars)


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
    for task in (FLAT, DEEP, CODED):
        assert flag_answer(answer, task)["leak"] == 0


def test_a_label_that_was_offered_as_a_choice_is_an_answer() -> None:
    assert flag_answer("Food", FLAT)["leak"] == 1
    assert flag_answer("Food", FLAT, is_choice=True)["leak"] == 0
    assert flag_answer(ONE, FLAT, is_choice=True)["leak"] == 1


def test_broken_answers_are_distinguished_from_leaked_ones() -> None:
    assert flag_answer(" \n", FLAT) == {"leak": 0, "empty": 1, "cut": 0, "loops": 0}
    assert flag_answer("It is on at seven, and", FLAT, cut=True) == {"leak": 0, "empty": 0, "cut": 1, "loops": 0}
    assert flag_answer("The lamp is on. " * 6, FLAT) == {"leak": 0, "empty": 0, "cut": 0, "loops": 1}
    assert flag_answer(", ".join(["food"] * 9), FLAT) == {"leak": 1, "empty": 0, "cut": 0, "loops": 1}


def test_a_long_answer_is_judged_in_time_that_grows_with_its_length() -> None:
    for answer in ("food " * 50_000, "{" * 50_000, '[{"content": "' * 10_000, '{"a": ' * 20_000):
        flag_answer(answer, FLAT, cut=True)
