"""Measure seconds per comment of several inference engines, with a taxonomy of 1,280 real paths in the prompt.

    python -m benchmarks.infer [comments] [rounds]

Each measurement is a separate process; the engines take turns. `naive` is transformers' `generate` over whole prompts
in batches, as in most scripts (on a few comments only, because it is slow). `transformers` and `vllm` are Alloy's
engines, with and without constraints. All engines answer the same complaints with the same random weights, by greedy
decoding of at most 64 tokens. `ready` is the time of a first chunk, which loads the model, compiles, and computes the
shared prefix. The result is written to benchmarks/results/infer-<machine>-<date>.json, with the share of answers
that are equal to those of `transformers`.
"""

import datetime
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.engine import Request
from alloy.inference.settings import EngineName, Infer
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import Prompt, PromptTaxonomy
from alloy.training.settings import Scratch, Train

CFPB = Path("../shared/data/cfpb_voc")
ENGINES = ("naive", "transformers", "transformers constrained", "vllm", "vllm constrained")
NAIVE_COMMENTS = 4  # in batches of two: the masks take gigabytes
INFER = Infer(batch_size=32, max_new_tokens=64)
SHAPE = Scratch(
    vocab_size=16384,
    hidden_size=256,
    intermediate_size=768,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=32768,
    train=Train(lr=1e-3),
)


def read_complaints(count: int) -> list[Row]:
    """Return the first test complaints of up to 1,000 characters."""
    rows = []
    with gzip.open(CFPB / "cfpb_voc.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["split"] == "test" and len(row["text"]) <= 1000:
                rows.append({"id": str(len(rows)), "text": row["text"]})
            if len(rows) == count:
                break
    return rows


def make_prompts() -> Prompts:
    """Return the prompts with the whole taxonomy."""
    paths = [json.loads(line) for line in (CFPB / "taxonomy.jsonl").open(encoding="utf-8")]
    levels = ("L1", "L2", "L3", "L4")
    taxonomy = Taxonomy(levels, {tuple(path[level] for level in levels): "" for path in paths})
    task = {"levels": levels, "has_content": False, "emotions": [], "most_segments": 1}
    return Prompts.from_task(Prompt(taxonomy=PromptTaxonomy.full), taxonomy, task, [{"id": "none", "text": ""}])


def make_model(folder: Path, texts: list[str]) -> None:
    """Write a model with random weights, and a tokenizer trained on `texts`."""
    import torch

    from alloy.training.tiny_qwen import new_config, new_model, new_tokenizer

    torch.manual_seed(0)
    tokenizer = new_tokenizer(texts, SHAPE)
    model = new_model(new_config(tokenizer, SHAPE))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def answer_naively(folder: Path, requests: list[Request]) -> list[str]:
    """Return answers generated as in most scripts."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    texts: list[str] = []
    for start in range(0, len(requests), 2):
        batch = [request.messages for request in requests[start : start + 2]]
        inputs = tokenizer.apply_chat_template(
            batch, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**inputs, max_new_tokens=INFER.max_new_tokens, do_sample=False)
        texts += tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def measure_engine(name: str, folder: Path, count: int) -> Row:
    """Return how long an engine takes to start and per comment, and its answers."""
    task_prompts = make_prompts()
    rows = read_complaints(count + 2)
    requests = [Request(row["text"], chat) for row, chat in zip(rows, task_prompts.build_messages(rows), strict=True)]
    warm_up_requests, measured_requests = requests[:2], requests[2:]
    start = time.perf_counter()
    tokens = 0
    if name == "naive":
        measured_requests = measured_requests[:NAIVE_COMMENTS]
        ready = 0.0
        texts = answer_naively(folder, measured_requests)
    else:
        from alloy.labeling.predict import open_labeler

        engine_name, _, constrained = name.partition(" ")
        infer = INFER.model_copy(update={"engine": EngineName(engine_name), "constrain": bool(constrained)})
        engine = open_labeler(folder, infer, task_prompts).engine
        engine.complete(warm_up_requests, lambda *_: None)
        ready = time.perf_counter() - start
        start = time.perf_counter()
        completions = engine.complete(measured_requests, lambda *_: None)
        texts = [completion.text for completion in completions]
        tokens = sum(completion.tokens_out for completion in completions)
    seconds = time.perf_counter() - start
    return {
        "ready": ready,
        "seconds": seconds / len(measured_requests),
        "tokens": tokens / len(measured_requests),
        "texts": texts,
    }


def compare_engines(measured: dict[str, list[Row]]) -> Row:
    """Return seconds by round, median ratios, and how many answers are equal."""
    result: Row = {"seconds a comment": {}, "ready": {}, "tokens an answer": {}, "same answers": {}, "ratio": {}}
    for name, rounds in measured.items():
        result["seconds a comment"][name] = [round(row["seconds"], 4) for row in rounds]
        result["ready"][name] = [round(row["ready"], 1) for row in rounds]
        result["tokens an answer"][name] = round(rounds[0]["tokens"], 1)
        reference = "transformers constrained" if "constrained" in name else "transformers"
        pairs = list(zip(rounds[0]["texts"], measured[reference][0]["texts"], strict=False))
        result["same answers"][f"{name} = {reference}"] = f"{sum(a == b for a, b in pairs)} of {len(pairs)}"
    for faster, slower in (
        ("transformers", "naive"),
        ("transformers", "vllm"),
        ("transformers constrained", "transformers"),
        ("vllm constrained", "vllm"),
    ):
        pairs = list(zip(measured[slower], measured[faster], strict=True))
        result["ratio"][f"{faster} / {slower}"] = round(
            statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 3
        )
    return result


def main() -> None:
    """Measure the engines and write the result."""
    if sys.argv[1:2] == ["--variant"]:
        name, folder, count, out = sys.argv[2:]
        write_json(out, measure_engine(name, Path(folder), int(count)))
        return
    count, rounds = (int(text) for text in [*sys.argv[1:], *("64", "2")[len(sys.argv) - 1 :]])
    measured: dict[str, list[Row]] = {name: [] for name in ENGINES}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        task_prompts = make_prompts()
        labels = [" > ".join(path) for path in task_prompts.taxonomy.leaves]
        make_model(folder, [*(row["text"] for row in read_complaints(861)), *labels * 20])  # the tokenizer learns them
        for _ in range(rounds):
            for name in ENGINES:
                out = Path(temporary) / "out.json"
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.infer",
                    "--variant",
                    name,
                    str(folder),
                    str(count),
                    str(out),
                ]
                subprocess.run(command, check=True)
                measured[name].append(json.loads(out.read_bytes()))
                print(f"{name}: {measured[name][-1]['seconds']:.3f} s a comment", flush=True)

    import torch

    machine = torch.cuda.get_device_name().replace(" ", "-") if torch.cuda.is_available() else f"cpu{os.cpu_count()}"
    result = {
        "command": " ".join(["python -m benchmarks.infer", *sys.argv[1:]]),
        "machine": machine,
        "processor": platform.processor() or platform.machine(),
        "comments": count,
        **compare_engines(measured),
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/infer-{machine}-{day}.json")
    write_json(out, result)
    print(result["ratio"], result["same answers"], out)


if __name__ == "__main__":
    run(main)
