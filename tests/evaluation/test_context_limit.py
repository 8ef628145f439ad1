"""Questions and prompts that do not fit the model's context are skipped and counted."""

from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.evaluation.context_limit import find_over_context
from alloy.evaluation.ifeval_task import TASK, make_ifeval_task
from alloy.evaluation.lm_eval_model import HFLM, SharedPrefixLM
from alloy.evaluation.lm_eval_run import run_lm_eval
from alloy.evaluation.mmlu_tasks import make_forms
from alloy.evaluation.settings import ClozePrompt, Mmlu
from stages.mmlu import ask_questions, compute_metrics
from tiny_model import make_model_and_tokenizer

Row = dict[str, Any]
CONTEXT = 256
LONG = "The contract says that the tenant pays on the first day of each month. " * 20


def make_question(text: str) -> Row:
    return {"subject": "reading", "question": text, "choices": ["red", "green", "blue", "pink"], "answer": 0}


DEV_ROWS = [make_question("What colour is the hat?")]


def make_generated_tasks(rows: dict[str, dict[str, list[Row]]], model: Any, mmlu: Mmlu) -> list[Any]:
    """Return the tasks of the third form, generated answers, with their requests."""
    _cloze, _letters, (tasks, _) = make_forms(rows, mmlu)
    for task in tasks:
        task.build_all_requests(apply_chat_template=True, chat_template=model.apply_chat_template)
    return tasks


@pytest.fixture(scope="module")
def model() -> Any:
    weights, tokenizer = make_model_and_tokenizer()
    assert weights.config.max_position_embeddings == CONTEXT
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return SharedPrefixLM(pretrained=weights, tokenizer=tokenizer, batch_size=4)


@pytest.mark.parametrize("cloze", ClozePrompt)
def test_a_question_that_is_too_long_in_one_form_is_skipped_in_all(model: Any, cloze: ClozePrompt) -> None:
    test = [make_question("What colour is the door?"), make_question(LONG), make_question("What colour is the lamp?")]
    mmlu = Mmlu(cloze=cloze, fewshot=0, max_new_tokens=4)
    rows = ask_questions(
        model, {"reading": {"test": test, "dev": DEV_ROWS}, "long": {"test": [test[1]], "dev": DEV_ROWS}}, mmlu
    )
    assert [row["id"] for row in rows] == ["reading/0", "reading/2"]  # indices in the file
    assert compute_metrics(rows, show_choices=True)["questions"] == 2


def test_a_question_fits_if_its_longest_answer_does(model: Any) -> None:
    rows = {"reading": {"test": [make_question("What colour is the door?")], "dev": DEV_ROWS}}
    (task,) = make_generated_tasks(rows, model, Mmlu(fewshot=0))
    prompt = len(model.tok_encode(task.instances[0].args[0]))
    for answer, over in ((CONTEXT - prompt, set[int]()), (CONTEXT - prompt + 1, {0})):
        (task,) = make_generated_tasks(rows, model, Mmlu(fewshot=0, max_new_tokens=answer))
        assert find_over_context(model, task.instances) == over


def test_a_benchmark_without_a_question_that_fits_is_an_error(model: Any) -> None:
    with pytest.raises(InputError, match=r"^mmlu: .*mmlu\.fewshot.*mmlu\.max_new_tokens"):
        ask_questions(
            model, {"reading": {"test": [make_question(LONG)], "dev": DEV_ROWS}}, Mmlu(fewshot=0, max_new_tokens=4)
        )


def make_prompts(*texts: str) -> list[Row]:
    return [
        {"key": number, "prompt": text, "instruction_id_list": ["change_case:english_lowercase"], "kwargs": [{}]}
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("kind", [SharedPrefixLM, HFLM])
def test_prompts_over_the_context_are_skipped_and_counted(kind: Any) -> None:
    weights, tokenizer = make_model_and_tokenizer()
    lm = kind(pretrained=weights, tokenizer=tokenizer, batch_size=4)
    task = make_ifeval_task(make_prompts("Say it.", LONG, "Say it again."), 8)
    found = run_lm_eval(lm, [task], log_samples=True, apply_chat_template=True)
    assert [sample["doc_id"] for sample in found["samples"][TASK]] == [0, 2]
    assert (found["over_context"], found["n-samples"][TASK]["effective"]) == ({TASK: 1}, 2)


@pytest.mark.parametrize("room", [0, 1, 4])
def test_answers_that_leave_no_room_for_the_prompts_are_an_error_before_the_model_runs(model: Any, room: int) -> None:
    task = make_ifeval_task(make_prompts("Say it.", "Say it again."), CONTEXT - room)
    with pytest.raises(InputError, match=rf"^ifeval: .*\b2\b.*\b{CONTEXT} tokens.*`max_new_tokens`"):
        run_lm_eval(model, [task], log_samples=True, apply_chat_template=True)
