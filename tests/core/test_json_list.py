"""Answers of models: lists among other text, cut lists, single objects, and reasoning."""

import pytest

from alloy.core.json_list import find_json_list

KEYS = ("L1", "L2")
A, B = {"L1": "a", "L2": "b"}, {"L1": "c", "L2": "d"}
TEXT_A, TEXT_B = '{"L1": "a", "L2": "b"}', '{"L1": "c", "L2": "d"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # One list, in another structure.
        (f"[[{TEXT_A}]]", [A]),
        (f"[[{TEXT_A}], [{TEXT_B}]]", [A, B]),
        (f'{{"segments": {TEXT_A}}}', [A]),
        (f'{{"output": {{"segments": [{TEXT_A}]}}}}', [A]),
        (f'[{{"segments": [{TEXT_A}]}}, {{"segments": [{TEXT_B}]}}]', [A, B]),
        ('{"segments": [], "note": "x"}', []),
        ('{"L1": "a", "spans": [{"start": 0}]}', [{"L1": "a", "spans": [{"start": 0}]}]),
        ('{"L1": "a", "alternatives": [{"L1": "b"}]}', [{"L1": "a", "alternatives": [{"L1": "b"}]}]),
        (f'{{"1": {TEXT_A}, "2": {TEXT_B}}}', [A, B]),
        # Single objects.
        (f"{TEXT_A}\n{TEXT_B}", [A, B]),
        (f"{TEXT_A}, {TEXT_B}", [A, B]),
        (f"1. {TEXT_A}\n2. {TEXT_B}", [A, B]),
        (f"- {TEXT_A}\n- {TEXT_B}", [A, B]),
        (f"Not {TEXT_A}, but {TEXT_B}.", [B]),
        # A list, and text about it.
        (f"[{TEXT_A}] Explanation: {TEXT_B} would be wrong.", [A]),
        (f'[{TEXT_A}] Details: {{"notes": []}}', [A]),
        (f"[{TEXT_A}] The box [ ] stays empty.", [A]),
        (f'{{"L1": "a"\n[{TEXT_B}]', [B]),
        (f'[{{"L1": "a}}]\n[{TEXT_B}]', [B]),
        (f"[{TEXT_A} {TEXT_A}]\n[{TEXT_B}]", [B]),
        (f"{TEXT_A} is wrong in [{TEXT_A} {TEXT_B}]", [A]),
        # Reasoning.
        (f"<thinking>Perhaps [{TEXT_A}].</thinking>[{TEXT_B}]", [B]),
        (f"[THINK]Perhaps [{TEXT_A}].[/THINK][{TEXT_B}]", [B]),
        (f"Perhaps [{TEXT_A}].\u25c1/think\u25b7{TEXT_B}", [B]),
        (f"<think>Perhaps [{TEXT_A}].</think> []", []),
        (f"Perhaps [{TEXT_A}].</think>{TEXT_B}", [B]),
        (f'<think>He writes "[{{".</think>[{TEXT_B}]', [B]),
        (f"[{TEXT_A}]</think>", [A]),
        ('[{"L1": "</think>[]"}]', [{"L1": "</think>[]"}]),
        # Empty answers.
        ("[]", []),
        ("[ ]", []),
        ("No topic, so the answer is: []", []),
        ("[] (nothing applies)", []),
        ("```json\n[]\n```", []),
        ("Answer: [] since nothing applies", []),
        ("Answer: [ ]", []),
        (f"[{TEXT_A}]\nChecklist: [ ] done", [A]),
        (f"[{TEXT_A}]\n- [ ]", [A]),
    ],
)
def test_the_answer_is_the_last_list(text: str, expected: list[dict[str, object]]) -> None:
    assert find_json_list(text, KEYS) == expected


@pytest.mark.parametrize(
    "text",
    [
        '[{"content": "tick [ ] yes", "L1": "Pri',
        f'[{TEXT_A}, {{"content": "x [] y", "L1": "Pri',
        '[{"content": "a [] b", "L1": "x"},]',
        '{"content": "x", "spans": [], "L1": "Pri',
        '{"content": "x", "parts": [{"L1": "a"}], "L1": "Pri',
        f"<think>Perhaps [{TEXT_A}]",
        "<think>The boxes [ ] are empty",
        'I cannot label "[ ]".',
        "Tick [ ] yes or [ ] no.",
        "Tick one: [ ] yes",
        # Broken lists.
        f"[{TEXT_A} {TEXT_B}]",
        f"[{TEXT_A}\n{TEXT_B}\n{TEXT_A}]",
        f"[{{'L1': 'a'}}, {TEXT_B}]",
        f"[{{'L1': 'a'}}, {TEXT_A}, {TEXT_B},]",
        f'{{"segments": [{TEXT_A} {TEXT_B}]}}',
        f"<thinking>maybe [{TEXT_A}]</thinking> I cannot say.",
        f"[THINK]maybe [{TEXT_A}]",
        "{}",
        '{"L3": "a"}',
    ],
)
def test_a_cut_list_and_text_in_brackets_are_no_answer(text: str) -> None:
    assert find_json_list(text, KEYS) is None


def test_without_keys_a_single_object_is_no_list() -> None:
    assert find_json_list(TEXT_A) is None
    assert find_json_list(f'[{TEXT_A}, {{"x": []}}]') == [A, {"x": []}]
