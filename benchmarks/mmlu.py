"""Seconds of MMLU by likelihood: lm-eval as it comes, lm-eval in batches, and Alloy's way to ask lm-eval's questions.

    python -m benchmarks.mmlu [questions a subject, 0 for all 14,042] [rounds] [arm ..]

Every arm is a process of its own, by turns, over the same questions of ../shared/data/mmlu with the same small random
model, 0-shot and 5-shot. `default` is lm-eval's class for transformers with its batch size of 1, `batches` the same in
batches of 32; `shared` is alloy/evaluation/lm_eval_model.py in batches of 32, and `kept` the same where each answer is
kept on disk, as the stages do. Where arms are named, only these are measured, with `default` and `shared`. Loading does
not count. The result goes to benchmarks/results/mmlu-<machine>-<date>.json, with the share of questions that are judged
as by `default`.
"""

import datetime
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alloy.core.files import Row, read_jsonl, write_json, write_jsonl
from alloy.core.stage import run
from alloy.evaluation.lm_eval_run import run_lm_eval
from alloy.evaluation.mmlu_tasks import make_letters_task
from alloy.evaluation.settings import Mmlu
from alloy.formats.mmlu import load_questions
from alloy.modeling.model_folder import load_model
from benchmarks.infer import make_model

SOURCE = Path("../shared/data/mmlu")
ARMS = {"default": 1, "batches": 32, "shared": 32, "kept": 32}  # rows at once
SHOTS = (0, 5)


def write_questions(folder: Path, each: int) -> None:
    """Write the first `each` test questions of every subject, or all, and all dev ones."""
    for split in ("test", "dev"):
        taken: dict[str, int] = {}
        rows = []
        for row in read_jsonl(SOURCE / f"mmlu_{split}.jsonl.gz"):
            taken[row["subject"]] = taken.get(row["subject"], 0) + 1
            if split == "dev" or not each or taken[row["subject"]] <= each:
                rows.append(row)
        write_jsonl(folder / f"{split}.jsonl", rows)


def arm(name: str, shots: int, folder: Path) -> Row:
    """Return the seconds that this way takes, and each question's verdict."""
    from alloy.evaluation.lm_eval_model import HFLM, SharedPrefixLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = load_model(folder / "model")
    kind = SharedPrefixLM if name in ("shared", "kept") else HFLM
    asked = kind(pretrained=model, tokenizer=tokenizer, batch_size=ARMS[name])
    mmlu = Mmlu(fewshot=shots)
    tasks = [make_letters_task(subject, splits, mmlu) for subject, splits in load_questions(folder).items()]
    kept = folder / f"answers-{time.time_ns()}" if name == "kept" else None
    start = time.perf_counter()
    results = run_lm_eval(asked, tasks, kept, num_fewshot=shots, log_samples=True)
    seconds = time.perf_counter() - start
    verdicts = {
        f"{task}/{sample['doc_id']}": int(sample["acc"])
        for task, samples in results["samples"].items()
        for sample in samples
    }
    return {"seconds": seconds, "verdicts": verdicts}


def compare(taken: dict[str, list[Row]], arms: list[str]) -> Row:
    """Return the seconds, the ratios by rounds, and how many questions are judged alike."""
    result: Row = {"seconds": {}, "ratio": {}, "same verdicts": {}}
    for shots in SHOTS:
        ours = taken[f"shared {shots}-shot"]
        for name in arms:
            key = f"{name} {shots}-shot"
            result["seconds"][key] = [round(one["seconds"], 1) for one in taken[key]]
            pairs = zip(taken[key], ours, strict=True)
            result["ratio"][f"{key} / shared"] = round(
                statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 2
            )
            theirs, own = taken[f"default {shots}-shot"][0]["verdicts"], taken[key][0]["verdicts"]
            result["same verdicts"][key] = f"{sum(own[q] == theirs[q] for q in theirs)} of {len(theirs)}"
    return result


def main() -> None:
    """Measure and write the result."""
    if sys.argv[1:2] == ["--arm"]:
        name, shots, folder, out = sys.argv[2:]
        write_json(out, arm(name, int(shots), Path(folder)))
        return
    each, rounds = (int(text) for text in [*sys.argv[1:3], *("10", "1")[len(sys.argv) - 1 :]])
    arms = [name for name in ARMS if name in {"default", "shared", *(sys.argv[3:] or ARMS)}]
    taken: dict[str, list[Row]] = {f"{name} {shots}-shot": [] for name in arms for shots in SHOTS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_questions(folder, each)
        make_model(folder / "model", [row["question"] for row in read_jsonl(SOURCE / "mmlu_test.jsonl.gz")])
        for _ in range(rounds):
            for key, rows in taken.items():
                name, _, shots = key.partition(" ")
                out = folder / "out.json"
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.mmlu",
                    "--arm",
                    name,
                    shots.removesuffix("-shot"),
                    temporary,
                ]
                subprocess.run([*command, str(out)], check=True)
                rows.append(json.loads(out.read_bytes()))
                print(f"{key}: {rows[-1]['seconds']:.1f} s", flush=True)

    import torch

    machine = (
        torch.cuda.get_device_name().replace(" ", "-")
        if torch.cuda.is_available()
        else f"cpu{len(os.sched_getaffinity(0))}"
    )
    result = {
        "command": " ".join(["python -m benchmarks.mmlu", *sys.argv[1:]]),
        "machine": machine,
        "processor": platform.processor() or platform.machine(),
        "questions": len(next(iter(taken.values()))[0]["verdicts"]),
        **compare(taken, arms),
    }
    out = Path(f"benchmarks/results/mmlu-{machine}-{datetime.datetime.now(tz=datetime.UTC).date()}.json")
    write_json(out, result)
    print(result["ratio"], result["same verdicts"], out)


if __name__ == "__main__":
    run(main)
