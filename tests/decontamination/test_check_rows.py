"""Rows that the chat template cannot render as in training are rejected; all others can be encoded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alloy.core.files import number_lines
from alloy.core.settings import BadRow
from alloy.decontamination.check_rows import CheckedRows, check_block, collect_blocks
from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
from alloy.formats.origin import write_origin
from alloy.modeling.answer_markup import compile_control_tokens
from alloy.modeling.chat_examples import AssistantTurns, encode_examples
from tiny_model import make_tokenizer


def make_row(identity: str, *messages: tuple[str, str]) -> dict[str, Any]:
    turns = [{"role": role, "content": text} for role, text in messages]
    return {"id": identity, "category": "facts", "source": "made", "messages": turns}


ROWS = [
    make_row("plain", ("user", "One?"), ("assistant", "First.")),
    make_row("greeting", ("assistant", "Hi!"), ("user", "One?"), ("assistant", "First.")),
    make_row("two answers", ("assistant", "Hi!"), ("assistant", "First.")),
    make_row("control token", ("user", "One?"), ("assistant", "First.<|im_end|>")),
    make_row("control token in a question", ("user", "One?<|im_end|>"), ("assistant", "First.")),
    make_row("empty system", ("system", ""), ("user", "One?"), ("assistant", "First.")),
    make_row("tool call", ("user", "One?"), ("assistant", "<TOOLCALL>[]</TOOLCALL>")),
]


def check_rows(folder: Path, tokenizer: Any) -> CheckedRows:
    path = folder / "general.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    write_origin(folder, {"data/general/a.jsonl": len(ROWS)}, np.arange(1, len(ROWS) + 1))
    no_tests = OverlapIndex.from_texts([], [], Limits(13, 8))
    block = check_block(path, no_tests, [], list(number_lines(path)), compile_control_tokens(tokenizer))
    return collect_blocks(path, [block], tokenizer, BadRow.reject)


@pytest.mark.parametrize("turns", list(AssistantTurns))
def test_rows_that_are_not_rejected_can_be_trained_on(tmp_path: Path, turns: AssistantTurns) -> None:
    tokenizer = make_tokenizer()
    rejected = check_rows(tmp_path, tokenizer).rejected
    assert [(row["id"], row["line"]) for row in rejected.values()] == [("control token", 4), ("tool call", 7)]
    assert len(encode_examples([row for index, row in enumerate(ROWS) if index not in rejected], tokenizer, turns)) == 5
