"""Prompts and results equal lm-eval's IFEval."""

import gzip
import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.evaluation.ifeval_task import compute_metrics, make_ifeval_task
from alloy.formats.ifeval import check_prompt
from alloy.formats.ifeval_checks import verify_answer

SHARED = Path(__file__).parents[3] / "shared/data/ifeval/ifeval_input_data.jsonl.gz"
Row = dict[str, Any]
BULLETS = "detectable_format:number_bullet_lists"
PROMPTS: list[Row] = [
    {
        "key": 30,
        "prompt": "Tell a joke in JSON.",
        "instruction_id_list": ["detectable_format:json_format"],
        "kwargs": [{}],
    },
    {
        "key": 4,
        "prompt": "{{ Two }} bullets,\nno commas.",
        "instruction_id_list": ["punctuation:no_comma", BULLETS],
        "kwargs": [{}, {"num_bullets": 2}],
    },
]


def read_real_prompts() -> dict[int, Row]:
    """Return IFEval by key, or skip the test."""
    if not SHARED.is_file():
        pytest.skip(f"{SHARED} is absent: the real IFEval cannot be read")
    with gzip.open(SHARED, "rt", encoding="utf-8") as file:
        return {row["key"]: row for row in map(json.loads, file)}


def verify_results(row: Row, answer: str) -> tuple[list[bool], list[bool]]:
    """Return which instructions the answer follows, strictly and loosely; check that the prompt's results agree."""
    got = verify_answer(row, [answer])
    strict, loose = got["inst_level_strict_acc"], got["inst_level_loose_acc"]
    assert (got["prompt_level_strict_acc"], got["prompt_level_loose_acc"]) == (all(strict), all(loose))
    return strict, loose


def make_sample(number: int, row: Row, answer: str) -> Row:
    """Return lm-eval's sample of one answer."""
    return {"doc_id": number, "doc": row, "filtered_resps": [answer], **verify_answer(row, [answer])}


def test_the_task_equals_lm_eval_ifeval_except_for_the_dataset() -> None:
    text = (files("lm_eval") / "tasks/ifeval/ifeval.yaml").read_text(encoding="utf-8").replace("!function ", "")
    lm_eval_task = yaml.safe_load(text)
    config = make_ifeval_task(PROMPTS, 1280).config
    assert config.generation_kwargs == lm_eval_task["generation_kwargs"]
    assert (config.output_type, config.num_fewshot) == (lm_eval_task["output_type"], lm_eval_task["num_fewshot"])
    named = [
        {**metric, "aggregation": "utils.agg_inst_level_acc"} if callable(metric["aggregation"]) else metric
        for metric in config.metric_list or []
    ]
    assert sorted(named, key=str) == sorted(lm_eval_task["metric_list"], key=str)


def test_prompts_are_unchanged_and_in_their_order() -> None:
    task = make_ifeval_task(PROMPTS, 8)
    rows = list(task.test_docs())
    assert [task.fewshot_context(row, num_fewshot=0) for row in rows] == [row["prompt"] for row in PROMPTS]
    assert [check_prompt(row) for row in rows] == PROMPTS


def test_prompts_without_any_argument_are_a_task_too() -> None:
    (row,) = make_ifeval_task(PROMPTS[:1], 8).test_docs()
    assert make_ifeval_task(PROMPTS[:1], 8).process_results(row, ["{}"])["prompt_level_strict_acc"]


def test_metrics_are_shares_of_prompts_and_of_instructions() -> None:
    answers = ['{"joke": 1}', "Here, two:\n- one\n- two"]
    # lm-eval's samples can be in any order
    shares, rows = compute_metrics([make_sample(number, PROMPTS[number], answers[number]) for number in (1, 0)])
    assert shares == {
        "prompts": 2,
        "instructions": 3,
        "prompt_strict": 0.5,
        "instruction_strict": 0.6667,
        "prompt_loose": 1.0,  # without its first line, the second answer has no comma
        "instruction_loose": 1.0,
    }
    assert rows[1] == {
        "id": "4",
        "prompt_strict": 0,
        "instruction_strict": [0, 1],
        "prompt_loose": 1,
        "instruction_loose": [1, 1],
        "instructions": PROMPTS[1]["instruction_id_list"],
        "answer": answers[1],
    }
    assert [row["id"] for row in rows] == ["30", "4"]


NO, YES = False, True
TWO = "Why the rocket? It had space.\n******\nWhat is a rocket's lunch? Launch."
LOWER = "please go and vote, my friend, it matters to all of us here."
STORY = "<<Axles>>\nDr. Lee weighed it. The road broke. Heavier axles wear roads faster. That is all."
# Answers to prompts of IFEval, by key: which instructions are followed strictly, and which loosely.
ANSWERS = {
    "two jokes": (1107, TWO, [YES, YES], [YES, YES]),
    "two jokes with a comma": (1107, TWO.replace("space.", "space, yes."), [NO, YES], [YES, YES]),
    "one joke": (1107, "A joke", [YES, NO], [YES, NO]),
    "lower case": (1051, LOWER, [YES], [YES]),
    "lower case after a first line": (1051, f"Sure! Here it is:\n{LOWER}", [NO], [YES]),
    "upper case": (1051, LOWER.upper(), [NO], [NO]),
    # An abbreviation does not end a sentence: there are four sentences, and the limit is fewer than five.
    "four sentences": (1262, STORY, [YES, YES], [YES, YES]),
    "five sentences": (1262, f"{STORY} Or not.", [YES, NO], [YES, YES]),
    "no title": (1262, STORY.replace("<<", ""), [NO, YES], [NO, YES]),
    "the phrase at the end": (1128, "Positive. Is there anything else I can help with?", [YES], [YES]),
    "the phrase in bold": (1128, "Positive. **Is there anything else I can help with?**", [NO], [YES]),
    "more after the phrase": (1128, "Is there anything else I can help with? Bye.", [NO], [NO]),
    "nothing": (1107, "", [NO, NO], [NO, NO]),
    "a label": (1107, '[{"content": "rockets", "L1": "App", "emotion": "joy"}]', [NO, NO], [NO, NO]),
}


@pytest.mark.parametrize(("key", "answer", "strict", "loose"), ANSWERS.values(), ids=ANSWERS)
def test_answers_to_real_prompts_get_the_results_that_a_reader_would_give(
    key: int, answer: str, strict: list[bool], loose: list[bool]
) -> None:
    assert verify_results(check_prompt(read_real_prompts()[key]), answer) == (strict, loose)


def test_all_real_prompts_get_the_results_of_lm_eval() -> None:
    prompts = read_real_prompts()
    rows = [check_prompt(row) for row in prompts.values()]
    assert rows == list(prompts.values())
    task = make_ifeval_task(rows, 8)
    from lm_eval.tasks.ifeval.utils import process_results  # after the task was made, which loads the sentence model

    answer = "First, Dr. Smith wrote a poem about the river.\n\n* one *two*\n* three [name]\n\nP.S. Goodbye."
    followed = defaultdict(list)
    for doc, row in zip(task.test_docs(), rows, strict=True):
        results = task.process_results(doc, [answer])
        if row["key"] not in (1122, 1129):  # here lm-eval draws a random letter
            assert results == process_results(row, [answer]), row["key"]
        for name, is_followed in zip(row["instruction_id_list"], results["inst_level_strict_acc"], strict=True):
            followed[name].append(is_followed)
    assert sum(map(len, followed.values())) == 834
    # The answer has a comma, no title and no quotes.
    for name, count in {"punctuation:no_comma": 66, "detectable_format:title": 37, "startend:quotation": 41}.items():
        assert followed[name] == [False] * count
    expected = [row["kwargs"][0] == {"num_bullets": 2} for row in rows if row["instruction_id_list"] == [BULLETS]]
    assert 0 < sum(expected) <= sum(followed[BULLETS]) < len(followed[BULLETS])
