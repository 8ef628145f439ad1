"""Generate a model's answers to twelve plain chat prompts, for people to read.

Reads   data/prepared/chat/prompts.jsonl; models/<model>
Writes  metrics/chat/<model>.jsonl: `{id, category, messages, answer, finish, tokens, cut}` per prompt, with the
        `reason` if there is no answer;
        metrics/chat/<model>.json: number of answers, prompts without answer, mean length, share cut at the token limit
Run     dvc repro chat@tuned

Answers are decoded greedily, without a grammar. The report shows them side by side, and `compare` counts answers in the
task's format (leakage).
"""

import sys
from functools import partial
from pathlib import Path

from alloy.core.files import InputError, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import read_model_name, run
from alloy.evaluation.chat import answer_prompts, count_answer, keep_renderable, summarize_answers
from alloy.evaluation.settings import Chat
from alloy.formats.chat import read_chat_prompts
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import Infer
from alloy.inference.usage import format_unanswered, make_needs_retry
from alloy.modeling.model_folder import load_tokenizer, read_hosted_name
from alloy.runtime.chunks import Job, run_job
from alloy.runtime.resume import hash_inputs

PROMPTS = Path("data/prepared/chat/prompts.jsonl")


def main() -> None:
    """Load the model, generate the answers, write rows and metrics."""
    name = read_model_name()
    chat, infer = load_sections(Chat, Infer)
    out, rows = Path(f"metrics/chat/{name}.json"), Path(f"metrics/chat/{name}.jsonl")
    model = Path("models", name)
    if name != "base" and read_hosted_name(model):  # `model` is the base model, and its answers cost money
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"chat {name}: skipped, nothing was trained")
        return
    warnings: list[str] = []
    prompts = read_chat_prompts(PROMPTS, warnings.append)
    if not read_hosted_name(model):
        prompts, problems = keep_renderable(prompts, load_tokenizer(model))
        warnings += problems
        if not prompts:
            raise InputError(f"{PROMPTS}: the model can be asked none of the prompts; {problems[0]}")
    infer = infer.model_copy(update={"constrain": False, "limit": None, "max_new_tokens": chat.max_new_tokens})
    job = Job(
        name=f"chat {name}",
        unit="prompt",
        open_worker=lambda: partial(answer_prompts, open_engine(model, infer)),
        count_row=count_answer,
        make_metrics=lambda totals: {name: {"chat": summarize_answers(totals)}},
        needs_retry=make_needs_retry(infer),
    )
    key = hash_inputs("chat", [chat, infer.answer_settings], name)
    metrics = run_job(job, key, prompts, len(prompts), infer.chunk_size, (rows, out))[name]["chat"]
    left_out = f"; {count} prompts longer than the context left out" if (count := metrics["over_context"]) else ""
    print(
        f"chat {name}: {metrics['answers']} answers of {metrics['mean_tokens']:.0f} tokens on average, "
        f"{metrics['cut']:.0%} cut at {chat.max_new_tokens} tokens{left_out}"
    )
    if any(metrics["unanswered"].values()):
        note = format_unanswered(f"chat@{name}", "prompt", metrics["unanswered"], f"see `reason` in {rows}", infer)
        print(f"chat {name}: {note}", file=sys.stderr)
    print("".join(f"chat {name}: {warning}\n" for warning in warnings), end="")


if __name__ == "__main__":
    run(main)
