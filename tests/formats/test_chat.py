"""Committed chat prompts can be read. A line that is not a prompt raises an error with its location."""

import json
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.formats.chat import read_chat_prompts

ROOT = Path(__file__).parents[2]
QUESTION = {"role": "user", "content": "Hi!"}
VALID_PROMPT = {"id": "a", "category": "greeting", "messages": [QUESTION]}


def test_the_twelve_committed_prompts_have_twelve_categories() -> None:
    prompts = read_chat_prompts(ROOT / "data/chat/prompts.jsonl")
    assert len(prompts) == len({prompt["id"] for prompt in prompts}) == len({p["category"] for p in prompts}) == 12
    assert [len(prompt["messages"]) for prompt in prompts] == [1] * 11 + [3]


@pytest.mark.parametrize(
    ("row", "expected_words"),
    [
        ({**VALID_PROMPT, "id": "b", "category": " "}, ("`category`", "' '")),
        ({**VALID_PROMPT, "id": 3}, ("`id`", "3")),
        (VALID_PROMPT, ("'a'", "line 1")),
        ({**VALID_PROMPT, "id": "b", "messages": []}, ("`messages`", "[]")),
        ({**VALID_PROMPT, "id": "b", "messages": [{"role": "manager", "content": "Hi!"}]}, ("message 1", "manager")),
        (
            {**VALID_PROMPT, "id": "b", "messages": [QUESTION, {"role": "user", "content": ""}]},
            ("message 2", "`content`"),
        ),
        ({**VALID_PROMPT, "id": "b", "messages": [QUESTION, {"role": "assistant", "content": "Hi."}]}, ("assistant",)),
    ],
)
def test_a_line_that_is_not_a_prompt_is_named_in_the_error(
    tmp_path: Path, row: dict, expected_words: tuple[str, ...]
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(f"{json.dumps(VALID_PROMPT)}\n{json.dumps(row)}\n")
    with pytest.raises(InputError) as caught:
        read_chat_prompts(file)
    assert str(caught.value).startswith(f"{file}:2: ")
    assert all(word in str(caught.value) for word in expected_words)
