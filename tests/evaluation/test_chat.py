"""Chat prompts are answered greedily in the chat format, and answers at the token limit are marked."""

from collections import Counter
from pathlib import Path

from alloy.evaluation.chat import answer_prompts, count, report
from alloy.formats.chat import read_chat_prompts
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import render_prompt
from small import SCRATCH, new_config, new_model, set_seed, tokenizer

PROMPTS = read_chat_prompts(Path(__file__).parents[2] / "data/chat/prompts.jsonl")
LIMIT = 6


def test_each_prompt_has_the_greedy_answer_to_all_its_turns() -> None:
    tokens = tokenizer()
    config = new_config(tokens, SCRATCH)
    config.initializer_range, config.max_position_embeddings = 0.4, 1024
    set_seed(0)
    model = new_model(config).eval()
    engine = TransformersEngine(model, tokens, Infer(batch_size=4, max_new_tokens=LIMIT), [])
    totals: Counter[str] = Counter()
    rows = [count(row, totals) for row in answer_prompts(engine, PROMPTS, lambda _: None)]
    assert [row["id"] for row in rows] == [prompt["id"] for prompt in PROMPTS]
    for row, prompt in zip(rows, PROMPTS, strict=True):
        asked = tokens(render_prompt(tokens, prompt["messages"]).text, return_tensors="pt", add_special_tokens=False)
        answer = model.generate(**asked, max_new_tokens=LIMIT, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert row["answer"] == tokens.decode(answer, skip_special_tokens=True)
        assert row["cut"] == int(row["tokens"] == LIMIT)
    mean = round(sum(row["tokens"] for row in rows) / 12, 1)
    cut = round(sum(row["cut"] for row in rows) / 12, 4)
    assert report(totals) == {"answers": 12, "mean_tokens": mean, "cut": cut}
