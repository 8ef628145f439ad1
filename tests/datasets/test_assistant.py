"""General examples of small models: each format becomes a conversation, and the order does not change the sample."""

import json
from collections import Counter
from pathlib import Path

import pytest

from alloy.core.files import InputError, read_jsonl
from alloy.datasets import assistant
from alloy.datasets.assistant_forms import SOURCES, SourceInfo, build_example, read_examples
from alloy.formats.general import read_general
from data_folders import prepare_folder

BOOLQ = [
    {"instruction": "Is ice cold?", "input": "", "output": "the correct answer is true", "answer": "true"},
]
FILES: dict[str, list[dict]] = {
    "boolq/train.json": BOOLQ,
    "gsm8k/train.jsonl": [{"question": "What is 1 + 1?", "answer": "It is 2.\n#### 2"}],
    "roleplay-simple-deduped-roleplay-instruct.json": [{"instruction": "Be a cat.", "input": "", "response": "Meow."}],
    "codegen-instruct.json": [{"instruction": "Print a sum.", "input": "1, 2", "response": "print(1 + 2)"}],
    "seed_tasks.jsonl": [
        {"id": "s0", "instruction": "Name a color.", "instances": [{"input": "", "output": "Red"}], "name": "n"}
    ],
    "oa_questions.jsonl": [
        {
            "input": "### Human: Hi ### Assistant: Hello! ### Human: How are you? ### Assistant:",
            "output": "Fine.",
            "message_id": "m",
            "lang": "de",
        }
    ],
    "mbpp.jsonl": [
        {"task_id": 601, "text": "Write f.", "code": "def f(): ...", "test_list": ["assert f", "assert 1"]},
        {"task_id": 11, "text": "Of the test set.", "code": "x", "test_list": []},
    ],
}
EXPECTED_TEXTS = {
    "llm_adapters_qa_train": ["Is ice cold?", "the correct answer is true"],
    "gsm8k_train": ["What is 1 + 1?", "It is 2.\n#### 2"],
    "gpteacher_roleplay": ["Be a cat.", "Meow."],
    "gpteacher_codegen": ["Print a sum.\n\n1, 2", "print(1 + 2)"],
    "self_instruct_human_seeds": ["Name a color.", "Red"],
    "oasst1_eval953": ["Hi", "Hello!", "How are you?", "Fine."],
    "mbpp_train": ["Write f.\nYour code should pass these tests:\nassert f\nassert 1", "def f(): ..."],
}


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/assistant/raw")
    folder.mkdir(parents=True)
    (folder.parent / "source.yaml").write_text("format: assistant\n")
    return folder


def write_rows(raw: Path, name: str, rows: list[dict]) -> Path:
    path = raw / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines if name.endswith("l") else json.dumps(rows))
    return path


def test_each_published_layout_becomes_a_conversation(raw: Path) -> None:
    for name, rows in FILES.items():
        write_rows(raw, name, rows)
    prepare_folder(Path("data/assistant"), "general")
    rows = read_general(Path("data/prepared/general/general.jsonl"))
    assert {row["source"]: [turn["content"] for turn in row["messages"]] for row in rows} == EXPECTED_TEXTS
    assert {row["source"]: row["lang"] for row in rows}["oasst1_eval953"] == "de"
    assert [turn["role"] for turn in rows[5]["messages"]] == ["user", "assistant"] * 2
    assert all(row["license"] == SOURCES[row["source"]].license for row in rows)


def test_canonical_rows_give_the_same_examples_as_published_rows(raw: Path) -> None:
    for name, rows in FILES.items():
        write_rows(raw, name, rows)
    prepare_folder(Path("data/assistant"), "general")
    expected = read_jsonl("data/prepared/general/general.jsonl")
    for path in [path for path in raw.rglob("*") if path.is_file()]:
        path.unlink()
    for number, row in enumerate(reversed(expected)):
        task = {"task": "boolq"} if row["source"] == "llm_adapters_qa_train" else {}
        write_rows(raw, f"{number}.jsonl", [{**row, "id": str(number), "license": None, **task}])
    prepare_folder(Path("data/assistant"), "general")
    assert read_jsonl("data/prepared/general/general.jsonl") == expected


def test_the_selection_does_not_depend_on_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "gsm8k_train", SourceInfo("math", "MIT", 3))
    examples = [build_example("gsm8k_train", f"{number}?", "Yes.") for number in range(9)]
    left_out: Counter[str] = Counter()
    rows = assistant.select_examples(examples, left_out)
    assert rows == assistant.select_examples(reversed(examples), Counter())
    assert (len(rows), left_out["over the maximum"]) == (3, 6)


def test_left_out_examples_are_counted() -> None:
    left_out: Counter[str] = Counter()
    example = build_example("gsm8k_train", "Q?", "A.")
    rows = assistant.select_examples(
        [
            example,
            example,
            build_example("p3", "Q?", "A."),
            build_example("gsm8k_train", "Q?", " "),
            build_example("gsm8k_train", "Q?", "A" * 1200),
        ],
        left_out,
    )
    assert len(rows) == 1
    assert {reason: count for reason, count in left_out.items() if count} == {
        "copies": 1, "other sources": 1, "an empty message or no answer": 1, "too long": 1,
    }  # fmt: skip


def test_a_missing_source_is_named_in_the_error(raw: Path) -> None:
    with pytest.raises(InputError, match=r"^data/assistant/raw: .*\.json"):
        prepare_folder(Path("data/assistant"), "general")
    for name, rows in list(FILES.items())[1:]:
        write_rows(raw, name, rows)
    with pytest.raises(InputError, match=r"^data/assistant/raw: .*llm_adapters_qa_train"):
        prepare_folder(Path("data/assistant"), "general")


@pytest.mark.parametrize(
    ("name", "location", "rows"),
    [
        ("x.jsonl", "x.jsonl:1", [{"title": "x"}]),
        ("x.json", "x.json[2]", [*FILES["codegen-instruct.json"], {"instruction": 1, "input": "", "response": None}]),
        ("seed_tasks.jsonl", "seed_tasks.jsonl:1", [{"instruction": "x", "instances": []}]),
    ],
)
def test_the_error_of_a_row_with_an_unknown_layout_names_its_location(
    raw: Path, name: str, location: str, rows: list[dict]
) -> None:
    path = write_rows(raw, name, rows)
    with pytest.raises(InputError) as error:
        list(read_examples(path))
    assert str(error.value).startswith(f"data/assistant/raw/{location}: ")
