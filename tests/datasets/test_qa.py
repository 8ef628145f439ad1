"""A benchmark is made from the training sets of ARC and OpenBookQA; the general data has none of its questions."""

import json
from pathlib import Path

import pytest

from alloy.core.files import InputError, read_jsonl
from alloy.datasets import qa
from alloy.datasets.assistant_forms import read_examples
from alloy.datasets.llm_adapters import Exercise, parse_question
from alloy.formats.mmlu import load_questions
from data_folders import prepare_folder

TASKS = {"ARC-Easy": "arc_easy", "ARC-Challenge": "arc_challenge", "openbookqa": "openbookqa"}


def make_prompt(question: str, choices: list[str]) -> str:
    listed = " ".join(f"Answer{number}: {choice}" for number, choice in enumerate(choices, 1))
    return f"Please choose the correct answer to the question: {question}\n\n{listed}\n\nAnswer format: answer1/answer2"


def make_prompt_and_answer(task: str, number: int) -> tuple[str, str]:
    return make_prompt(f"{task}: what is {number}?", ["a", "b", f"c{number}", "d"]), "the correct answer is answer3"


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(qa, "TEST", {"arc_easy": 4, "arc_challenge": 2, "openbookqa": 3})
    folder = Path("data/qa/raw")
    folder.mkdir(parents=True)
    (folder.parent / "source.yaml").write_text("format: qa\n")
    return folder


def write_json_files(raw: Path, count: int = 12) -> None:
    for task in TASKS:
        rows = [
            dict(zip(("instruction", "output"), make_prompt_and_answer(task, number), strict=True))
            for number in reversed(range(count))
        ]
        (raw / task).mkdir()
        (raw / task / "train.json").write_text(json.dumps([{**row, "input": "", "answer": "answer3"} for row in rows]))


def write_jsonl_file(raw: Path, count: int = 12) -> None:
    rows = [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], "task": task}
        for task in TASKS
        for prompt, answer in (make_prompt_and_answer(task, number) for number in range(count))
    ]
    boolq = {
        "messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "true"}],
        "task": "boolq",
    }
    text = "".join(json.dumps({**row, "source": "llm_adapters_qa_train"}) + "\n" for row in [boolq, *rows])
    (raw / "llm_adapters_qa_train.jsonl").write_text(text)


def run_conversion() -> dict[str, list[dict]]:
    prepare_folder(Path("data/qa"), "benchmark")
    return {split: read_jsonl(f"data/prepared/benchmark/{split}.jsonl") for split in ("test", "dev")}


def test_json_and_jsonl_files_give_the_same_questions_in_any_order(raw: Path) -> None:
    write_json_files(raw)
    splits = run_conversion()
    for path in sorted(raw.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_jsonl_file(raw)
    assert run_conversion() == splits
    assert [len(splits[split]) for split in ("test", "dev")] == [9, 15]
    assert {row["answer"] for row in splits["test"]} == {2}
    assert load_questions(Path("data/prepared/benchmark")).keys() == set(TASKS.values())


def test_no_question_is_in_both_splits_or_twice(raw: Path) -> None:
    write_json_files(raw)
    (raw / "more/ARC-Easy").mkdir(parents=True)
    copies = [
        dict(zip(("instruction", "output"), make_prompt_and_answer("openbookqa", number), strict=True))
        for number in range(3)
    ]
    (raw / "more/ARC-Easy/train.json").write_text(json.dumps(copies))  # also in the file of another subject
    write_jsonl_file(raw)
    questions = [row["question"] for rows in run_conversion().values() for row in rows]
    assert len(questions) == len(set(questions)) == 24


def test_the_general_data_has_none_of_the_questions(raw: Path) -> None:
    write_jsonl_file(raw)
    examples = read_examples(raw / "llm_adapters_qa_train.jsonl")
    assert [example.messages[0]["content"] for example in examples] == ["Is it?"]


def test_a_question_without_four_choices_is_left_out() -> None:
    answer = "the correct answer is answer3"
    assert parse_question(Exercise("arc-easy", make_prompt("Q?", ["a", "b", "c"]), answer)) is None
    assert (
        parse_question(Exercise("arc-easy", make_prompt("Q?", ["a", "b", "c", "d"]), "the correct answer is answer5"))
        is None
    )
    assert parse_question(Exercise("arc-easy", "Is it?", "true")) is None
    question = parse_question(Exercise("arc-easy", make_prompt("Q: one\ntwo?", ["a b", "b", "c", "d"]), answer))
    assert question == ("Q: one\ntwo?", ("a b", "b", "c", "d"), 2)


def test_the_error_names_the_location_of_missing_questions_and_invalid_rows(raw: Path) -> None:
    with pytest.raises(InputError, match=r"^data/qa/raw: no \.json"):
        run_conversion()
    write_json_files(raw, count=6)
    with pytest.raises(InputError, match=r"^data/qa/raw: arc_easy: .*\b9\b.*\b6\b"):
        run_conversion()
    (raw / "openbookqa/train.json").write_text('[{"instruction": "x"}]')
    with pytest.raises(InputError, match=r"openbookqa/train\.json\[1\]: "):
        run_conversion()
