"""Instruction data in the layouts of other tools becomes canonical chats, each with its license and source."""

import json
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.datasets.chats import NoAnswer, choose_reader
from alloy.datasets.source import Columns, Layout
from prepared import prepare_folder, write_source


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def convert_chat(layout: str, row: dict[str, Any], **columns: str) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in choose_reader(Layout(layout))(row, Columns(**columns))]


def make_turns(*messages: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": role, "value": text} for role, text in messages]


QA = [("user", "Why?"), ("assistant", "So.")]
READ: dict[str, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {
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
    "openai": ("openai", {"messages": [{"role": r, "content": c} for r, c in QA]}, QA),
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
    "openai's completions": ("openai", {"prompt": "Why?", "completion": "So."}, QA),
    "trl's completions": (
        "openai",
        {"prompt": [{"role": "user", "content": "Why?"}], "completion": [{"role": "assistant", "content": "So."}]},
        QA,
    ),
}


@pytest.mark.parametrize(("layout", "row", "expected"), READ.values(), ids=READ)
def test_a_row_is_read(layout: str, row: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert convert_chat(layout, row) == expected


def test_columns_of_another_name_are_read() -> None:
    assert convert_chat("alpaca", {"question": "Why?", "answer": "So."}, instruction="question", output="answer") == QA


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no column": ("alpaca", {"question": "Why?", "output": "So."}, "`instruction`.* question, output"),
    "a number": ("alpaca", {"instruction": 3, "output": "So."}, "`instruction` .*int"),
    "a history that is no list": (
        "alpaca",
        {"instruction": "Why?", "output": "So.", "history": 3},
        r"`history`.*\[question, answer\]",
    ),
    "no list": ("sharegpt", {"conversations": "Hi"}, "`conversations` .*list"),
    "a speaker unknown": ("sharegpt", {"conversations": make_turns(("alien", "Hi"))}, "`from` .*'alien'.* human, user"),
    "a turn without a role": ("openai", {"messages": [{"content": "Hi"}]}, "`role`"),
    "a picture": (
        "openai",
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "`content` ",
    ),
    "a tool call": (
        "openai",
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        "tool",
    ),
}


@pytest.mark.parametrize(("layout", "row", "expected"), BAD.values(), ids=BAD)
def test_an_invalid_row_names_the_key_and_the_value(layout: str, row: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        convert_chat(layout, row)
    assert not isinstance(caught.value, NoAnswer)


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
    with pytest.raises(NoAnswer):
        convert_chat(layout, row)


def test_rows_have_their_own_license_source_and_category_or_those_of_the_data_set() -> None:
    rows = [
        {"instruction": "Why?", "output": "So."},
        {"instruction": "Why?", "output": "So.", "source": "web", "license": "BSD", "category": "math", "lang": "de"},
        {"instruction": "Why?", "output": ""},
    ]
    source = {"format": "alpaca", "license": "MIT", "lang": "en", "licenses": {"web": "GPL"}}
    made = prepare_folder(write_source({"a.json": json.dumps(rows)}, source), "general")
    assert [{key: row.get(key) for key in ("id", "category", "source", "lang", "license")} for row in made.rows] == [
        {"id": "mine-1", "category": "mine", "source": "mine", "lang": "en", "license": "MIT"},
        {"id": "mine-2", "category": "math", "source": "web", "lang": "de", "license": "BSD"},
    ]
    assert made.printed == ["2 examples of 2 sources", "1 rows without an answer left out: data/mine/a.json:3, ..."]


def test_several_files_get_ids_that_differ() -> None:
    row = json.dumps({"instruction": "Why?", "output": "So."})
    folder = write_source({"raw/a.jsonl": row, "raw/b.json": f"[{row}]"}, {"format": "alpaca", "source": "made"})
    made = prepare_folder(folder, "general")
    assert [row["id"] for row in made.rows] == ["mine-1", "mine-b-1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"instruction": "Why?"}]', "data/mine/a.json:1: expected a key `output`"),
        ("[1]", "data/mine/a.json:1: expected a JSON object, found a number"),
        ('[{"instruction"', "data/mine/a.json:1: not valid JSON"),
        ('{"instruction": "Why?", "output": ""}', "data/mine: "),
        ("", "data/mine/a.json: "),
    ],
)
def test_an_error_names_file_and_row(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare_folder(write_source({"a.json": text}, {"format": "alpaca"}), "general")
    assert str(caught.value).startswith(expected)
