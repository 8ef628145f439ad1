"""Chat prompts are answered greedily in the chat format, and answers at the token limit are marked."""

from collections import Counter
from pathlib import Path

import pytest

from alloy.core.files import InputError, Row
from alloy.evaluation.chat import answer_prompts, count_answer, keep_renderable, summarize_answers
from alloy.formats.chat import read_chat_prompts
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.open_engine import SAMPLE_CHATS
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import find_common_prefix, render_prompt
from tiny_model import SCRATCH, make_tokenizer, new_config, new_model, set_seed

PROMPTS = read_chat_prompts(Path(__file__).parents[2] / "data/chat/prompts.jsonl")
LIMIT = 6


def test_each_prompt_has_the_greedy_answer_to_all_its_turns() -> None:
    tokenizer = make_tokenizer()
    config = new_config(tokenizer, SCRATCH)
    config.initializer_range, config.max_position_embeddings = 0.4, 1024
    set_seed(0)
    model = new_model(config).eval()
    expected = []
    for prompt in PROMPTS:  # before the engine, which changes the model's attention
        inputs = tokenizer(
            render_prompt(tokenizer, prompt["messages"]).text, return_tensors="pt", add_special_tokens=False
        )
        answer = model.generate(**inputs, max_new_tokens=LIMIT, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        expected.append(tokenizer.decode(answer, skip_special_tokens=True))
    infer = Infer(batch_size=4, max_new_tokens=LIMIT)
    engine = TransformersEngine(model, tokenizer, infer, find_common_prefix(tokenizer, SAMPLE_CHATS))
    totals: Counter[str] = Counter()
    found: dict[int, Row] = {}
    answer_prompts(engine, PROMPTS, found.__setitem__)
    rows = [count_answer(found[number], totals) for number in range(12)]
    assert [row["id"] for row in rows] == [prompt["id"] for prompt in PROMPTS]
    assert [row["answer"] for row in rows] == expected
    assert all(row["cut"] == int(row["tokens"] == LIMIT) for row in rows)
    mean = round(sum(row["tokens"] for row in rows) / 12, 1)
    cut = round(sum(row["cut"] for row in rows) / 12, 4)
    assert summarize_answers(totals) == {
        "answers": 12,
        "unanswered": dict.fromkeys(("refused", "failed"), 0),
        "mean_tokens": mean,
        "cut": cut,
        "over_context": 0,
    }


def test_a_prompt_over_the_context_is_skipped_and_counted() -> None:
    totals: Counter[str] = Counter()
    rows = [
        {"id": "a", "answer": "", "finish": "context", "tokens": 0},
        {"id": "b", "answer": "Yes", "finish": "length", "tokens": 6},
    ]
    assert [count_answer(row, totals) for row in rows] == [None, {**rows[1], "cut": 1}]
    found = summarize_answers(totals)
    assert {key: found[key] for key in ("answers", "mean_tokens", "cut", "over_context")} == {
        "answers": 1,
        "mean_tokens": 6.0,
        "cut": 1.0,
        "over_context": 1,
    }
    with pytest.raises(InputError, match=r"^chat: .*\b1\b.*data\.chat\b.*params\.yaml"):
        summarize_answers(Counter({"finish context": 1}))


def test_prompts_that_a_service_did_not_answer_are_no_answers() -> None:
    totals: Counter[str] = Counter()
    rows = [
        {"id": "a", "answer": "", "finish": "failed", "reason": "500", "tokens": 0},
        {"id": "b", "answer": "", "finish": "refused", "reason": "filter", "tokens": 0},
        {"id": "c", "answer": "Yes", "finish": "stop", "tokens": 6},
    ]
    assert [count_answer(row, totals) for row in rows] == [{**row, "cut": 0} for row in rows]
    found = summarize_answers(totals)
    assert (found["answers"], found["mean_tokens"], found["unanswered"]) == (1, 6.0, {"refused": 1, "failed": 1})
    with pytest.raises(InputError, match=r"\b2\b.*infer\.engine"):
        summarize_answers(Counter({"finish failed": 1, "finish refused": 1, "reason 500": 1}))


def test_prompts_that_the_template_cannot_render_are_named_and_left_out() -> None:
    tokenizer = make_tokenizer()
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    tokenizer.chat_template = template + str(tokenizer.chat_template)
    question = {"role": "user", "content": "Hi!"}
    prompts = [
        {"id": "a", "messages": [question]},
        {"id": "b", "messages": [{"role": "system", "content": "Be brief."}, question]},
    ]
    kept, problems = keep_renderable(prompts, tokenizer)
    assert kept == prompts[:1]
    (problem,) = problems
    assert "'b'" in problem
    assert "No system role" in problem
