"""Let a model label the test comments.

Reads   data/split/test.jsonl, taxonomy.json, task.json; models/<model>
Writes  data/predictions/<model>.jsonl: `{id, raw, valid, segments}`, in the order of the test set
Run     dvc repro infer@tuned
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.answer import parse_answer
from stages.chat import Messages, render_prompt
from stages.comments import segment_row
from stages.entry import run
from stages.params import load_params, load_profile
from stages.prompt import prompt_messages
from stages.records import read_json, read_jsonl, write_jsonl
from stages.schema import Infer
from stages.taxonomy import Taxonomy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def generate(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", prompts: list[Messages], infer: Infer
) -> list[str]:
    """Return the greedy completion of each prompt, without special tokens.

    Batches hold prompts of similar length, longest first, so that little is padding and too large a batch fails at
    once.
    """
    import torch
    from tqdm import tqdm

    ids = tokenizer([render_prompt(tokenizer, prompt) for prompt in prompts], add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
    completions = [""] * len(ids)
    generator: Any = model  # its mixins hide the signature
    tokenizer.padding_side = "left"
    model.eval()
    with tqdm(total=len(ids), unit="comment", desc="infer", disable=None, dynamic_ncols=True) as bar:
        for start in range(0, len(order), infer.batch_size):
            batch = order[start : start + infer.batch_size]
            inputs = tokenizer.pad({"input_ids": [ids[index] for index in batch]}, return_tensors="pt")
            inputs = inputs.to(model.device)
            with torch.inference_mode():
                output = generator.generate(**inputs, max_new_tokens=infer.max_new_tokens, do_sample=False)
            fresh = output[:, inputs["input_ids"].shape[1] :]
            for index, text in zip(batch, tokenizer.batch_decode(fresh, skip_special_tokens=True), strict=True):
                completions[index] = text
            bar.update(len(batch))
    return completions


def main() -> None:
    """Load, generate, parse, write."""
    name = sys.argv[1]
    params = load_params()
    infer = load_profile(params.profile).infer
    split = Path("data/split")
    taxonomy = Taxonomy.from_rows(read_json(split / "taxonomy.json"))
    task = read_json(split / "task.json")
    comments = read_jsonl(split / "test.jsonl")[: infer.limit]
    prompts = [prompt_messages(row["text"], params.prompt, taxonomy, task) for row in comments]

    from stages.checkpoint import load

    model, tokenizer = load(f"models/{name}")
    rows = []
    for comment, raw in zip(comments, generate(model, tokenizer, prompts, infer), strict=True):
        answer = parse_answer(raw, taxonomy.levels)
        segments = [segment_row(segment, taxonomy.levels) for segment in answer.segments]
        rows.append({"id": comment["id"], "raw": raw, "valid": answer.valid, "segments": segments})
    write_jsonl(f"data/predictions/{name}.jsonl", rows)
    print(f"infer {name}: {len(rows)} comments, {sum(not row['valid'] for row in rows)} answers are not JSON")


if __name__ == "__main__":
    run(main)
