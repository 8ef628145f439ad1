"""Names in data (source, category, subject) are compared in normal form, so that names that look the same are one."""

import json
from pathlib import Path
from typing import Any

import pytest

from alloy.formats.general import CUSTOMER, check_general, read_general
from alloy.formats.mmlu import load_questions

QUESTION = {"question": "1 + 1?", "choices": ["1", "2", "3", "4"], "answer": 1}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def make_general(identity: str, **names: str) -> dict[str, Any]:
    return {"id": identity, "category": "chat", "source": "mine", "messages": MESSAGES, **names}


def test_subjects_that_look_the_same_are_one_subject(tmp_path: Path) -> None:
    for split, subjects in (("test", ["G\u00e9ographie", "history"]), ("dev", ["Ge\u0301ographie", " history\u200b"])):
        write_lines(tmp_path / f"{split}.jsonl", [{"subject": subject, **QUESTION} for subject in subjects])
    questions = load_questions(tmp_path)
    assert list(questions) == ["G\u00e9ographie", "history"]
    for subject, splits in questions.items():
        assert splits == {split: [{"subject": subject, **QUESTION}] for split in ("test", "dev")}


@pytest.mark.parametrize("key", ["source", "category"])
@pytest.mark.parametrize("name", [CUSTOMER, f"{CUSTOMER} ", f" {CUSTOMER}", f"{CUSTOMER}\u200b", "cus\u00adtomer"])
def test_the_name_of_the_customer_examples_is_reserved_in_any_spelling(key: str, name: str) -> None:
    error = check_general(make_general("a", **{key: name}))
    assert error is not None
    assert error.startswith(f"`{key}`: '{CUSTOMER}'")


def test_names_of_general_rows_are_normalized(tmp_path: Path) -> None:
    rows = [make_general("a", source="Caf\u00e9"), make_general("b", source="Cafe\u0301", category="chat\u200b ")]
    read = read_general(write_lines(tmp_path / "general.jsonl", rows))
    assert read == [make_general("a", source="Caf\u00e9"), make_general("b", source="Caf\u00e9")]
