"""Seconds a comment of each way to answer, with the whole taxonomy of 1,280 real paths in the prompt.

    python -m benchmarks.infer [comments] [rounds]

Every arm is a process of its own, by turns: `naive` is transformers' `generate` over whole prompts in batches, as most
scripts do it (on a few comments, for it is slow); `transformers` and `vllm` are Alloy's engines, free and constrained.
All answer the same complaints with the same random weights, greedily, 64 tokens at most. A first, unmeasured chunk
loads, compiles and computes the shared prefix; what that takes stands under `ready`. The result goes to
benchmarks/results/infer-<machine>-<date>.json, with the share of answers that are the same as naive's or, beyond its
few comments, as those of `transformers`.
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
from alloy.labelling.prompt import Prompts
from alloy.labelling.settings import Prompt, TaxonomyIn
from alloy.training.settings import Scratch, Train

CFPB = Path("../shared/data/cfpb_voc")
ARMS = ("naive", "transformers", "transformers constrained", "vllm", "vllm constrained")
NAIVE = 4  # comments, two in a batch: its masks take gigabytes
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


def complaints(count: int) -> list[Row]:
    """Return the first test complaints of up to 1,000 letters."""
    rows = []
    with gzip.open(CFPB / "cfpb_voc.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["split"] == "test" and len(row["text"]) <= 1000:
                rows.append({"id": str(len(rows)), "text": row["text"]})
            if len(rows) == count:
                break
    return rows


def prompts() -> Prompts:
    """Return the prompts with the whole taxonomy."""
    paths = [json.loads(line) for line in (CFPB / "taxonomy.jsonl").open(encoding="utf-8")]
    levels = ("L1", "L2", "L3", "L4")
    taxonomy = Taxonomy(levels, {tuple(path[level] for level in levels): "" for path in paths})
    task = {"levels": levels, "has_content": False, "emotions": [], "most_segments": 1}
    return Prompts.from_task(Prompt(taxonomy=TaxonomyIn.full), taxonomy, task, [{"id": "none", "text": ""}])


def make_model(folder: Path, texts: list[str]) -> None:
    """Write random weights, and a tokenizer learnt from the complaints and the taxonomy."""
    import torch

    from alloy.training.tiny_qwen import new_config, new_model, new_tokenizer

    torch.manual_seed(0)
    tokenizer = new_tokenizer(texts, SHAPE)
    model = new_model(new_config(tokenizer, SHAPE))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def naive(folder: Path, requests: list[Request]) -> list[str]:
    """Answer as most scripts do."""
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


def arm(name: str, folder: Path, count: int) -> Row:
    """Return how long this way takes to be ready and for each comment, and its answers."""
    asked = prompts()
    rows = complaints(count + 2)
    requests = [Request(row["text"], chat) for row, chat in zip(rows, asked.messages(rows), strict=True)]
    first, rest = requests[:2], requests[2:]
    start = time.perf_counter()
    tokens = 0
    if name == "naive":
        rest = rest[:NAIVE]
        ready = 0.0
        texts = naive(folder, rest)
    else:
        from alloy.labelling.predict import open_labeler

        engine_name, _, constrained = name.partition(" ")
        infer = INFER.model_copy(update={"engine": EngineName(engine_name), "constrain": bool(constrained)})
        engine = open_labeler(folder, infer, asked).engine
        engine.complete(first, lambda *_: None)
        ready = time.perf_counter() - start
        start = time.perf_counter()
        done = engine.complete(rest, lambda *_: None)
        texts, tokens = [completion.text for completion in done], sum(completion.tokens_out for completion in done)
    seconds = time.perf_counter() - start
    return {"ready": ready, "seconds": seconds / len(rest), "tokens": tokens / len(rest), "texts": texts}


def compare(taken: dict[str, list[Row]]) -> Row:
    """Return medians, ratios of rounds, and how many answers are the same."""
    result: Row = {"seconds a comment": {}, "ready": {}, "tokens an answer": {}, "same answers": {}, "ratio": {}}
    for name, rounds in taken.items():
        result["seconds a comment"][name] = [round(one["seconds"], 4) for one in rounds]
        result["ready"][name] = [round(one["ready"], 1) for one in rounds]
        result["tokens an answer"][name] = round(rounds[0]["tokens"], 1)
        like = "transformers constrained" if "constrained" in name else "transformers"
        pairs = list(zip(rounds[0]["texts"], taken[like][0]["texts"], strict=False))
        result["same answers"][f"{name} = {like}"] = f"{sum(a == b for a, b in pairs)} of {len(pairs)}"
    for faster, slower in (
        ("transformers", "naive"),
        ("transformers", "vllm"),
        ("transformers constrained", "transformers"),
        ("vllm constrained", "vllm"),
    ):
        pairs = list(zip(taken[slower], taken[faster], strict=True))
        result["ratio"][f"{faster} / {slower}"] = round(
            statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 3
        )
    return result


def main() -> None:
    """Measure and write the result."""
    if sys.argv[1:2] == ["--arm"]:
        name, folder, count, out = sys.argv[2:]
        write_json(out, arm(name, Path(folder), int(count)))
        return
    count, rounds = (int(text) for text in [*sys.argv[1:], *("64", "2")[len(sys.argv) - 1 :]])
    taken: dict[str, list[Row]] = {name: [] for name in ARMS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        asked = prompts()
        labels = [" > ".join(path) for path in asked.taxonomy.leaves] * 20  # as words that a real tokenizer knows
        make_model(folder, [*(row["text"] for row in complaints(861)), *labels])
        for _ in range(rounds):
            for name in ARMS:
                out = Path(temporary) / "out.json"
                command = [sys.executable, "-m", "benchmarks.infer", "--arm", name, str(folder), str(count), str(out)]
                subprocess.run(command, check=True)
                taken[name].append(json.loads(out.read_bytes()))
                print(f"{name}: {taken[name][-1]['seconds']:.3f} s a comment", flush=True)

    import torch

    machine = torch.cuda.get_device_name().replace(" ", "-") if torch.cuda.is_available() else f"cpu{os.cpu_count()}"
    result = {
        "command": " ".join(["python -m benchmarks.infer", *sys.argv[1:]]),
        "machine": machine,
        "processor": platform.processor() or platform.machine(),
        "comments": count,
        **compare(taken),
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/infer-{machine}-{day}.json")
    write_json(out, result)
    print(result["ratio"], result["same answers"], out)


if __name__ == "__main__":
    run(main)
