"""Questions in the format of MMLU are checked."""

import json
from pathlib import Path

import pytest

from alloy.formats.mmlu import load_questions


@pytest.mark.parametrize("choices", [["x", "x", "y", "z"], ["5", "5.", "6", "7"], ["CO", "Co", "co", "C"]])
def test_equal_choices_are_allowed_since_mmlu_has_some(tmp_path: Path, choices: list[str]) -> None:
    row = {"subject": "sums", "question": "Which?", "choices": choices, "answer": 0}
    for split in ("test", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert load_questions(tmp_path) == {"sums": {"test": [row], "dev": [row]}}
