"""Measure seconds for MMLU by likelihood: lm-eval's defaults, lm-eval in batches, and Alloy's class for lm-eval.

    python -m benchmarks.mmlu [questions per subject, 0 for all 14,042] [rounds] [variant ...]

Each measurement is a separate process; the variants take turns, on the same questions of ../shared/data/mmlu with the
same small random model, 0-shot and 5-shot:

- `default`: lm-eval's class for transformers with its default batch size of 1.
- `batches`: the same in batches of 32.
- `shared`: alloy/evaluation/lm_eval_model.py in batches of 32.
- `kept`: the same, and each answer is stored on disk, as in the stages.

If variants are given, only these, `default` and `shared` are measured. Loading is not measured. The result is written
to benchmarks/results/mmlu-<machine>-<date>.json. `same verdicts` is the number of questions whose accuracy (0 or 1)
equals that of `default`.
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
BATCH_SIZES = {"default": 1, "batches": 32, "shared": 32, "kept": 32}  # rows per batch, by variant
SHOTS = (0, 5)


def write_questions(folder: Path, per_subject: int) -> None:
    """Write the first `per_subject` test questions of every subject (0: all), and all dev questions."""
    for split in ("test", "dev"):
        counts: dict[str, int] = {}
        rows = []
        for row in read_jsonl(SOURCE / f"mmlu_{split}.jsonl.gz"):
            counts[row["subject"]] = counts.get(row["subject"], 0) + 1
            if split == "dev" or not per_subject or counts[row["subject"]] <= per_subject:
                rows.append(row)
        write_jsonl(folder / f"{split}.jsonl", rows)


def measure_variant(name: str, shots: int, folder: Path) -> Row:
    """Return the seconds of a variant, and its accuracy (0 or 1) on each question."""
    from alloy.evaluation.lm_eval_model import HFLM, SharedPrefixLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model, tokenizer = load_model(folder / "model")
    kind = SharedPrefixLM if name in ("shared", "kept") else HFLM
    lm = kind(pretrained=model, tokenizer=tokenizer, batch_size=BATCH_SIZES[name])
    mmlu = Mmlu(fewshot=shots)
    tasks = [make_letters_task(subject, splits, mmlu) for subject, splits in load_questions(folder).items()]
    database = folder / f"answers-{time.time_ns()}" if name == "kept" else None
    start = time.perf_counter()
    results = run_lm_eval(lm, tasks, database, num_fewshot=shots, log_samples=True)
    seconds = time.perf_counter() - start
    accuracies = {
        f"{task}/{sample['doc_id']}": int(sample["acc"])
        for task, samples in results["samples"].items()
        for sample in samples
    }
    return {"seconds": seconds, "accuracies": accuracies}


def compare_variants(measured: dict[str, list[Row]], variants: list[str]) -> Row:
    """Return the seconds, the median ratios, and the number of questions with equal accuracy."""
    result: Row = {"seconds": {}, "ratio": {}, "same verdicts": {}}
    for shots in SHOTS:
        shared = measured[f"shared {shots}-shot"]
        for name in variants:
            key = f"{name} {shots}-shot"
            result["seconds"][key] = [round(row["seconds"], 1) for row in measured[key]]
            pairs = zip(measured[key], shared, strict=True)
            result["ratio"][f"{key} / shared"] = round(
                statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 2
            )
            expected, accuracies = measured[f"default {shots}-shot"][0]["accuracies"], measured[key][0]["accuracies"]
            equal = sum(accuracies[question] == expected[question] for question in expected)
            result["same verdicts"][key] = f"{equal} of {len(expected)}"
    return result


def main() -> None:
    """Measure the variants and write the result."""
    if sys.argv[1:2] == ["--variant"]:
        name, shots, folder, out = sys.argv[2:]
        write_json(out, measure_variant(name, int(shots), Path(folder)))
        return
    per_subject, rounds = (int(text) for text in [*sys.argv[1:3], *("10", "1")[len(sys.argv) - 1 :]])
    variants = [name for name in BATCH_SIZES if name in {"default", "shared", *(sys.argv[3:] or BATCH_SIZES)}]
    measured: dict[str, list[Row]] = {f"{name} {shots}-shot": [] for name in variants for shots in SHOTS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_questions(folder, per_subject)
        make_model(folder / "model", [row["question"] for row in read_jsonl(SOURCE / "mmlu_test.jsonl.gz")])
        for _ in range(rounds):
            for key, rows in measured.items():
                name, _, shots = key.partition(" ")
                out = folder / "out.json"
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.mmlu",
                    "--variant",
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
        "questions": len(next(iter(measured.values()))[0]["accuracies"]),
        **compare_variants(measured, variants),
    }
    out = Path(f"benchmarks/results/mmlu-{machine}-{datetime.datetime.now(tz=datetime.UTC).date()}.json")
    write_json(out, result)
    print(result["ratio"], result["same verdicts"], out)


if __name__ == "__main__":
    run(main)
