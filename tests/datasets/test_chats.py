"""Instruction data in the layouts of other tools becomes canonical chats, each with its license and source."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.datasets.chats import NoAnswerError, choose_reader
from alloy.datasets.source import Columns, Layout
from data_folders import prepare_folder, write_source


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def convert_chat(layout: str, row: dict[str, Any], **columns: str) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in choose_reader(Layout(layout))(row, Columns(**columns))]


def make_turns(*messages: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": role, "value": text} for role, text in messages]


ANSWER = {"role": "assistant", "content": "So."}
QA = [("user", "Why?"), ("assistant", "So.")]
VALID_ROWS: dict[str, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {
    "alpaca": ("alpaca", {"instruction": "Why?", "input": "", "output": "So."}, QA),
    "alpaca with null": ("alpaca", {"instruction": "Why?", "input": None, "output": "So."}, QA),
    "alpaca with an input": (
        "alpaca",
        {"instruction": "Sum", "input": "1 2", "output": "3"},
        [("user", "Sum\n\n1 2"), ("assistant", "3")],
    ),
    "alpaca with system and history": (
        "alpaca",
        {"instruction": "Why?", "output": "So.", "system": "Be short.", "history": [["Hi", "Ho"]]},
        [("system", "Be short."), ("user", "Hi"), ("assistant", "Ho"), *QA],
    ),
    "sharegpt": ("sharegpt", {"conversations": make_turns(("human", "Why?"), ("gpt", "So."))}, QA),
    "sharegpt with system": (
        "sharegpt",
        {"system": "Be short.", "conversations": make_turns(("human", "Why?"), ("gpt", "So."))},
        [("system", "Be short."), *QA],
    ),
    "sharegpt that ends with a question": (
        "sharegpt",
        {"conversations": make_turns(("human", "Why?"), ("gpt", "So."), ("human", "And?"))},
        QA,
    ),
    "openai": ("openai", {"messages": [{"role": role, "content": text} for role, text in QA]}, QA),
    "openai with parts": (
        "openai",
        {
            "messages": [
                {"role": "developer", "content": "Be short."},
                {"role": "user", "content": [{"type": "text", "text": "Wh"}, {"type": "text", "text": "y?"}]},
                {"role": "assistant", "content": "So.", "tool_calls": None},
            ]
        },
        [("system", "Be short."), *QA],
    ),
    "reasoning in a field": (
        "openai",
        {"messages": [{"role": "user", "content": "Why?"}, {**ANSWER, "reasoning_content": " It is so.\n"}]},
        [QA[0], ("assistant", "<think>\nIt is so.\n</think>\n\nSo.")],
    ),
    "the same reasoning in two fields": (
        "openai",
        {"messages": [{"role": "user", "content": "Why?"}, {**ANSWER, "reasoning": "Hm", "thinking": "Hm"}]},
        [QA[0], ("assistant", "<think>\nHm\n</think>\n\nSo.")],
    ),
    "no reasoning, no tools": (
        "openai",
        {
            "messages": [{"role": "user", "content": "Why?"}, {**ANSWER, "reasoning": " ", "thinking": None}],
            "tools": [],
        },
        QA,
    ),
    "sharegpt with reasoning": (
        "sharegpt",
        {"conversations": [*make_turns(("human", "Why?")), {"from": "gpt", "value": "So.", "reasoning": "Hm"}]},
        [QA[0], ("assistant", "<think>\nHm\n</think>\n\nSo.")],
    ),
    "openai completions": ("openai", {"prompt": "Why?", "completion": "So."}, QA),
    "trl completions": (
        "openai",
        {"prompt": [{"role": "user", "content": "Why?"}], "completion": [{"role": "assistant", "content": "So."}]},
        QA,
    ),
}


@pytest.mark.parametrize(("layout", "row", "expected"), VALID_ROWS.values(), ids=VALID_ROWS)
def test_a_row_is_read(layout: str, row: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert convert_chat(layout, row) == expected


def test_columns_with_other_names_are_read() -> None:
    assert convert_chat("alpaca", {"question": "Why?", "answer": "So."}, instruction="question", output="answer") == QA


INVALID_ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a missing column": ("alpaca", {"question": "Why?", "output": "So."}, "`instruction`.* question, output"),
    "a number instead of text": ("alpaca", {"instruction": 3, "output": "So."}, "`instruction`.*number"),
    "a history that is not a list": (
        "alpaca",
        {"instruction": "Why?", "output": "So.", "history": 3},
        r"`history`.*\[question, answer\]",
    ),
    "conversations that are not a list": ("sharegpt", {"conversations": "Hi"}, "`conversations`.*list"),
    "an unknown speaker": (
        "sharegpt",
        {"conversations": make_turns(("alien", "Hi"))},
        "`from`.*'alien'",
    ),
    "a turn without a role": ("openai", {"messages": [{"content": "Hi"}]}, "`role`"),
    "an image": (
        "openai",
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "`content`",
    ),
    "tools": ("openai", {"messages": [ANSWER], "tools": [{"name": "find"}]}, "`tools`"),
    "tools in sharegpt": ("sharegpt", {"conversations": make_turns(("gpt", "So.")), "tools": "[{}]"}, "`tools`"),
    "functions": ("alpaca", {"instruction": "Why?", "output": "So.", "functions": [{}]}, "`functions`"),
    "two kinds of reasoning": (
        "openai",
        {"messages": [{**ANSWER, "reasoning": "a", "reasoning_content": "b"}]},
        "`reasoning_content`, `reasoning`",
    ),
    "reasoning in a field and in the text": (
        "openai",
        {"messages": [{"role": "assistant", "content": "<think>a</think>So.", "reasoning": "a"}]},
        "reasoning",
    ),
    "reasoning that ends itself": ("openai", {"messages": [{**ANSWER, "reasoning": "a</think>b"}]}, "reasoning"),
    "reasoning of a user": ("openai", {"messages": [{"role": "user", "content": "Hi", "thinking": "a"}]}, "reasoning"),
    "reasoning that is no text": ("openai", {"messages": [{**ANSWER, "reasoning": {"a": 1}}]}, "`reasoning`"),
    "a tool call": (
        "openai",
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        "tool",
    ),
}


@pytest.mark.parametrize(("layout", "row", "expected"), INVALID_ROWS.values(), ids=INVALID_ROWS)
def test_the_error_of_an_invalid_row_names_the_key_and_the_value(
    layout: str, row: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        convert_chat(layout, row)
    assert not isinstance(caught.value, NoAnswerError)


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("alpaca", {"instruction": "Why?", "output": " "}),
        ("alpaca", {"instruction": "", "output": "So."}),
        ("sharegpt", {"conversations": make_turns(("human", "Why?"))}),
        ("sharegpt", {"conversations": []}),
        ("openai", {"messages": [{"role": "assistant", "content": "Hello."}]}),
    ],
)
def test_a_row_without_question_or_answer_raises_no_answer(layout: str, row: dict[str, Any]) -> None:
    with pytest.raises(NoAnswerError):
        convert_chat(layout, row)


def test_a_row_without_license_source_or_category_takes_the_values_of_the_data_set() -> None:
    rows = [
        {"instruction": "Why?", "output": "So."},
        {"instruction": "Why?", "output": "So.", "source": "web", "license": "BSD", "category": "math", "lang": "de"},
        {"instruction": "Why?", "output": ""},
    ]
    source = {"format": "alpaca", "license": "MIT", "lang": "en", "licenses": {"web": "GPL"}}
    prepared = prepare_folder(write_source({"a.json": json.dumps(rows)}, source), "general")
    keys = ("id", "category", "source", "lang", "license")
    assert [{key: row.get(key) for key in keys} for row in prepared.rows] == [
        {"id": "mine-1", "category": "mine", "source": "mine", "lang": "en", "license": "MIT"},
        {"id": "mine-2", "category": "math", "source": "web", "lang": "de", "license": "BSD"},
    ]
    summary, left_out = prepared.printed
    assert re.findall(r"\d+", summary) == ["2", "2"]
    assert left_out.startswith("1 ")
    assert "data/mine/a.json:3" in left_out


def test_rows_of_several_files_have_different_ids() -> None:
    row = json.dumps({"instruction": "Why?", "output": "So."})
    folder = write_source({"raw/a.jsonl": row, "raw/b.json": f"[{row}]"}, {"format": "alpaca", "source": "forum"})
    prepared = prepare_folder(folder, "general")
    assert [row["id"] for row in prepared.rows] == ["mine-1", "mine-b-1"]


@pytest.mark.parametrize(
    ("text", "location", "value"),
    [
        ('[{"instruction": "Why?"}]', "data/mine/a.json:1: ", "`output`"),
        ("[1]", "data/mine/a.json:1: ", "a number"),
        ('[{"instruction"', "data/mine/a.json:1: ", "JSON"),
        ('{"instruction": "Why?", "output": ""}', "data/mine: ", ""),
        ("", "data/mine/a.json: ", ""),
    ],
)
def test_an_error_names_file_row_and_value(text: str, location: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare_folder(write_source({"a.json": text}, {"format": "alpaca"}), "general")
    assert str(caught.value).startswith(location)
    assert value in str(caught.value)


UNUSED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "alpaca": (
        "alpaca",
        {"instruction": "Why?", "Input": "lost", "output": "So.", "weight": None},
        ["`Input` in 2 rows", "`input`?"],
    ),
    "sharegpt": (
        "sharegpt",
        {
            "conversations": [{**turn, "wt": 1} for turn in make_turns(("human", "Why?"), ("gpt", "So."))],
            "System": "Hi",
        },
        ["`System` in 2 rows", "`system`?", "`conversations.wt` in 2 rows"],
    ),
    "openai": (
        "openai",
        {"messages": [{"role": "user", "content": "Why?", "name": "me"}, ANSWER], "Tools": [1], "prompt": "Why?"},
        ["`messages.name` in 2 rows", "`Tools` in 2 rows", "`prompt` in 2 rows"],
    ),
    "trl completions": (
        "openai",
        {"prompt": [{"role": "user", "content": "Why?"}], "completion": [{**ANSWER, "refusal": "no"}]},
        ["`completion.refusal` in 2 rows"],
    ),
}


@pytest.mark.parametrize(("format_", "row", "expected"), UNUSED.values(), ids=UNUSED)
def test_keys_without_an_effect_are_counted_in_a_warning(
    format_: str, row: dict[str, Any], expected: list[str]
) -> None:
    folder = write_source({"a.json": json.dumps([row, row])}, {"format": format_})
    printed = prepare_folder(folder, "general").printed
    warnings = [line for line in printed if "unknown key" in line]
    assert len(warnings) == sum("rows" in text for text in expected)
    assert [text for text in expected if not any(text in line for line in warnings)] == []


@pytest.mark.parametrize(("layout", "row", "expected"), VALID_ROWS.values(), ids=VALID_ROWS)
def test_a_row_without_other_keys_has_no_warning(layout: str, row: dict[str, Any], expected: Any) -> None:
    row = {**row, "category": "math", "source": "web", "lang": "en", "license": "MIT"}
    printed = prepare_folder(write_source({"a.json": json.dumps([row])}, {"format": layout}), "general").printed
    assert [line for line in printed if "unknown key" in line and "tool" not in line] == []
