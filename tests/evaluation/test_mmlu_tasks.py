"""MMLU: files are checked, prompts equal lm-eval's prompts, and answers are scored."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Template

from alloy.core.files import InputError
from alloy.evaluation.mmlu_tasks import format_with_letters, make_cloze_task, make_generated_task, make_letters_task
from alloy.evaluation.settings import ClozePrompt, Mmlu
from alloy.formats.mmlu import load_questions

Row = dict[str, Any]
PLAIN, CHAT = Mmlu(), Mmlu(cloze=ClozePrompt.chat, show_choices=False)


def make_question(text: str = "What is 2 + 2?", **more: Any) -> Row:
    return {"subject": "school_sums", "question": text, "choices": ["3", "4", "5", "6"], "answer": 1, **more}


def write_benchmark(folder: Path, test: list[Row], dev: list[Row]) -> Path:
    for name, rows in (("test", test), ("dev", dev)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def read_error(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_questions(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_questions_come_by_subject_and_split_in_file_order(tmp_path: Path) -> None:
    test = [make_question("1?", subject="b"), make_question("2?", subject="a"), make_question("3?", subject="b")]
    dev = [make_question("4?", subject="a"), make_question("5?", subject="b")]
    loaded = load_questions(write_benchmark(tmp_path, test, dev))
    assert loaded == {
        "a": {"test": [test[1]], "dev": [dev[0]]},
        "b": {"test": [test[0], test[2]], "dev": [dev[1]]},
    }
    assert list(loaded) == ["a", "b"]


NO_INDEX = "write the index of the right choice, 0 to 3"
BAD = {
    "answer 4": (make_question(answer=4), f"`answer` is 4; {NO_INDEX}"),
    "answer -1": (make_question(answer=-1), f"`answer` is -1; {NO_INDEX}"),
    "answer true": (make_question(answer=True), f"`answer` is True; {NO_INDEX}"),
    "answer A": (make_question(answer="A"), f"`answer` is 'A'; {NO_INDEX}"),
    "answer null": (make_question(answer=None), f"`answer` is None; {NO_INDEX}"),
    "answer 1.5": (make_question(answer=1.5), f"`answer` is 1.5; {NO_INDEX}"),
    "three choices": (make_question(choices=["3", "4", "5"]), "`choices`: "),
    "five choices": (make_question(choices=list("34567")), "`choices`: "),
    "numbers as choices": (make_question(choices=[3, 4, 5, 6]), "`choices`: "),
    "a word as choices": (make_question(choices="3456"), "`choices`: "),
    "no question": (make_question(question=None), "`question` is "),
    "no subject": (make_question(subject=7), "`subject` is "),
}


@pytest.mark.parametrize(("row", "expected"), BAD.values(), ids=BAD)
def test_a_bad_question_is_a_one_line_error_with_its_location(tmp_path: Path, row: Row, expected: str) -> None:
    for split, *rows in (
        ("test", [make_question(), row], [make_question()]),
        ("dev", [make_question()], [make_question(), row]),
    ):
        (line,) = read_error(write_benchmark(tmp_path, *rows)).splitlines()
        assert line.startswith(f"{split}.jsonl:2: {expected}")


def test_an_answer_that_is_not_an_integer_is_an_error(tmp_path: Path) -> None:
    assert read_error(write_benchmark(tmp_path, [make_question(answer=1.0)], [make_question()])).startswith(
        "test.jsonl:1: `answer` is 1.0"
    )


def test_malformed_and_empty_files_are_one_line_errors(tmp_path: Path) -> None:
    write_benchmark(tmp_path, [make_question()], [])
    assert re.fullmatch(r"dev\.jsonl: .*\bempty\b.*", read_error(tmp_path))
    (tmp_path / "dev.jsonl").write_text("{\n")
    assert read_error(tmp_path).startswith("dev.jsonl:1: not valid JSON")
    (tmp_path / "dev.jsonl").unlink()
    assert read_error(tmp_path).startswith("dev.jsonl: no such file")


@pytest.mark.parametrize("lone", ["test", "dev"])
def test_a_subject_in_only_one_file_is_an_error(tmp_path: Path, lone: str) -> None:
    splits = {
        name: [make_question()] + ([make_question(subject="lone")] if name == lone else []) for name in ("test", "dev")
    }
    assert "lone" in read_error(write_benchmark(tmp_path, splits["test"], splits["dev"]))


def read_lm_eval_template() -> dict[str, Any]:
    return yaml.safe_load((files("lm_eval") / "tasks/mmlu/default/_default_template_yaml").read_text(encoding="utf-8"))


ODD = ["What is 2 + 2?", "  spaces \n", "two\nlines", "{{ not }} <a> & 'template'"]


@pytest.mark.parametrize("text", ODD)
def test_a_question_has_the_format_of_lm_eval_mmlu(text: str) -> None:
    row = make_question(text, choices=["<3>", " 4", "{{ 5 }}", ""])
    assert f"{format_with_letters(row)}\nAnswer:" == Template(read_lm_eval_template()["doc_to_text"]).render(row)


SPLITS = {
    "test": [make_question(), make_question(" {{ 1 }} + 3? ")],
    "dev": [make_question("What is 1 + 2?", answer=0)],
}
RANKED = [(-3.0, False), (-1.0, True), (-2.0, False), (-4.0, False)]


def make_prompt(task: Any, shots: int = 0, number: int = 0) -> tuple[Row, str]:
    row = list(task.test_docs())[number]
    return row, task.fewshot_context(row, num_fewshot=shots)


def test_a_prompt_with_letters_has_the_format_of_lm_eval_mmlu() -> None:
    task = make_letters_task("school_sums", SPLITS, PLAIN)
    row, words = make_prompt(task)
    about = "The following are multiple choice questions (with answers) about school sums.\n\n"
    assert words == f"{about}What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:"
    assert task.doc_to_choice(row) == read_lm_eval_template()["doc_to_choice"]
    assert task.config.target_delimiter == " "
    assert make_prompt(task, number=1)[1].startswith(about + "{{ 1 }} + 3?\nA. 3\n")


def test_shots_come_from_dev_with_their_letter() -> None:
    _, words = make_prompt(make_letters_task("school_sums", SPLITS, PLAIN), shots=1)
    shot = "What is 1 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer: A\n\n"
    assert words.endswith(shot + "What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:")


def test_the_cloze_form_has_the_format_of_lm_eval_mmlu_continuation() -> None:
    task = make_cloze_task("school_sums", SPLITS, PLAIN)
    template = files("lm_eval") / "tasks/mmlu/continuation/_continuation_template_yaml"
    lm_eval_task = yaml.safe_load(template.read_text(encoding="utf-8"))
    for number in (0, 1):
        row, words = make_prompt(task, number=number)
        assert words == Template(lm_eval_task["doc_to_text"]).render(row)
        assert task.doc_to_choice(row) == row["choices"]
    assert task.config.target_delimiter == " "
    _, words = make_prompt(task, shots=1)
    assert words == "Question: What is 1 + 2?\nAnswer: 3\n\nQuestion: What is 2 + 2?\nAnswer:"


def test_the_cloze_form_in_the_chat_format_is_only_the_question() -> None:
    task = make_cloze_task("school_sums", SPLITS, CHAT)
    row, words = make_prompt(task)
    assert words == "What is 2 + 2?"
    assert task.doc_to_choice(row) == ["3", "4", "5", "6"]
    assert task.config.target_delimiter == ""


@pytest.mark.parametrize("mmlu", [PLAIN, CHAT])
def test_the_most_likely_choice_counts_in_sum_and_per_character(mmlu: Mmlu) -> None:
    splits = {**SPLITS, "test": [make_question(choices=["3", "four, of course", "5", "6"])]}
    task = make_cloze_task("school_sums", splits, mmlu)
    row, _ = make_prompt(task)
    assert task.doc_to_target(row) == 1
    assert task.process_results(row, RANKED) == {"acc": 1.0, "acc_norm": 1.0}
    assert task.process_results(row, [(-3.0, False), (-4.0, False)] * 2) == {"acc": 0.0, "acc_norm": 1.0}
    assert make_letters_task("school_sums", splits, mmlu).process_results(row, RANKED) == {"acc": 1.0}


def compute_results(task: Any, answer: str) -> tuple[float, float, float]:
    """Return (generated_acc, generated_strict, unparsed) of an answer to the first question."""
    found = task.process_results(make_prompt(task)[0], [answer])
    return found["generated_acc"], found["generated_strict"], found["unparsed"]


def test_generated_answers_with_shown_choices_are_read_by_letter_and_by_text() -> None:
    task = make_generated_task("school_sums", SPLITS, PLAIN)
    row, words = make_prompt(task)
    assert words == "What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer with the letter only."
    assert task.doc_to_target(row) == "B"
    assert compute_results(task, "B") == (1.0, 1.0, 0.0)
    assert compute_results(task, "4.") == (1.0, 1.0, 0.0)
    assert compute_results(task, "B. 4") == (1.0, 0.0, 0.0)
    assert compute_results(task, "It is 4, I think.") == (1.0, 0.0, 0.0)
    assert compute_results(task, "C") == (0.0, 0.0, 0.0)
    assert compute_results(task, '[{"L1": "Setup"}]') == (0.0, 0.0, 1.0)


def test_generated_answers_without_shown_choices_are_read_by_text_only() -> None:
    task = make_generated_task("school_sums", SPLITS, CHAT)
    row, words = make_prompt(task)
    assert words == "What is 2 + 2?"
    assert task.doc_to_target(row) == "4"
    assert compute_results(task, "4.") == (1.0, 1.0, 0.0)
    assert compute_results(task, "It is 4.") == (1.0, 0.0, 0.0)
    assert compute_results(task, "6") == (0.0, 0.0, 0.0)
    assert compute_results(task, "B") == (0.0, 0.0, 1.0)


def test_generation_is_greedy_and_as_long_as_the_profile_says() -> None:
    settings = make_generated_task("school_sums", SPLITS, Mmlu(max_new_tokens=7)).config.generation_kwargs
    assert settings == {"until": [], "max_gen_toks": 7, "do_sample": False, "temperature": 0.0}


def test_less_unparsed_is_better_and_more_of_the_others() -> None:
    better = make_generated_task("school_sums", SPLITS, PLAIN).higher_is_better()
    assert better == {"generated_acc": True, "generated_strict": True, "unparsed": False}
