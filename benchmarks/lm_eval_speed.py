"""Compare the speed of Alloy's model class for lm-eval with lm-eval's class `HFLM` on multiple-choice questions.

    python -m benchmarks.lm_eval_speed MODEL BENCHMARK [questions per subject] [rounds] [shots ...]

MODEL is a folder with a model. BENCHMARK is a folder with test.jsonl and dev.jsonl. Both classes run the same tasks
with the same model in batches of 32, one after the other in one process: cloze form and letters by likelihood, and
generated answers of up to 16 tokens, each with 0 and with 5 examples (or `shots`). Loading is not measured. Neither
class reads lm-eval's task files, which takes 8 seconds per call. The result is written to
benchmarks/results/lm-eval-speed-cpu<cores>-<capability>-<date>.json: seconds; processor seconds, which depend less on
other work on the machine; the ratio of processor seconds, lm-eval / Alloy (median over rounds); the number of equal
answers.

To measure as on a processor without AVX-512:

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 python -m benchmarks.lm_eval_speed ...
"""

import datetime
import logging
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.evaluation.lm_eval_run import run_lm_eval
from alloy.evaluation.mmlu_tasks import make_cloze_task, make_generated_task, make_letters_task
from alloy.evaluation.settings import Mmlu
from alloy.formats.mmlu import load_questions
from alloy.modeling.model_folder import load_model

KINDS = {"cloze": make_cloze_task, "letters": make_letters_task, "generated": make_generated_task}
BATCH = 32
ENVIRONMENT = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "OMP_NUM_THREADS")


def run_tasks(model: Any, kind: str, folder: Path, mmlu: Mmlu) -> tuple[tuple[float, float], dict[str, Any]]:  # noqa: ANN401
    """Return the seconds and processor seconds of a model for all tasks of a kind, and the result per question."""
    tasks: list[Any] = [KINDS[kind](subject, splits, mmlu) for subject, splits in load_questions(folder).items()]
    options = {"num_fewshot": mmlu.fewshot, "limit": mmlu.limit, "apply_chat_template": kind == "generated"}
    start = time.perf_counter(), time.process_time()
    results = run_lm_eval(model, tasks, log_samples=True, **options)
    seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    results_by_question = {
        f"{task}/{sample['doc_id']}": sample["resps"][0][0] if kind == "generated" else sample["acc"]
        for task, samples in results["samples"].items()
        for sample in samples
    }
    return seconds, results_by_question


def measure_models(models: dict[str, Any], kind: str, folder: Path, mmlu: Mmlu, rounds: int) -> Row:
    """Return seconds by model and round, the ratio, and the number of equal answers."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    processor: dict[str, list[float]] = {name: [] for name in models}
    answers: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name, model in models.items():
            (wall, cpu), answers[name] = run_tasks(model, kind, folder, mmlu)
            seconds[name].append(round(wall, 2))
            processor[name].append(round(cpu, 2))
    ratios = [lm_eval / alloy for lm_eval, alloy in zip(processor["lm-eval"], processor["alloy"], strict=True)]
    lm_eval_answers, alloy_answers = answers["lm-eval"], answers["alloy"]
    equal = sum(lm_eval_answers[key] == alloy_answers[key] for key in lm_eval_answers)
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "ratio": round(statistics.median(ratios), 2),
        "alike": f"{equal} of {len(lm_eval_answers)}",
    }


def main() -> None:
    """Measure both classes and write the result."""
    from alloy.evaluation.lm_eval_model import HFLM, SharedPrefixLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    folder, benchmark = (Path(text) for text in sys.argv[1:3])
    limit, rounds, *shots = (int(text) for text in [*sys.argv[3:], *("10", "1", "0", "5")[len(sys.argv) - 3 :]])
    model, tokenizer = load_model(folder)
    kinds = {"lm-eval": HFLM, "alloy": SharedPrefixLM}
    models = {name: kind(pretrained=model, tokenizer=tokenizer, batch_size=BATCH) for name, kind in kinds.items()}
    measured: Row = {}
    for number in shots:
        for kind in KINDS:
            key = f"{kind} {number}-shot"
            measured[key] = measure_models(models, kind, benchmark, Mmlu(fewshot=number, limit=limit), rounds)
            print(f"{key}: {measured[key]}", flush=True)
        of_shots = [measured[f"{kind} {number}-shot"]["processor_seconds"] for kind in KINDS]
        total = {name: sum(statistics.median(seconds[name]) for seconds in of_shots) for name in models}
        measured[f"all {number}-shot"] = {
            "processor_seconds": {name: round(seconds, 2) for name, seconds in total.items()},
            "ratio": round(total["lm-eval"] / total["alloy"], 2),
        }
        print(f"all {number}-shot: {measured[f'all {number}-shot']}", flush=True)

    import torch

    machine = f"cpu{len(os.sched_getaffinity(0))}"
    result = {
        "command": " ".join(["python -m benchmarks.lm_eval_speed", *(Path(word).name for word in sys.argv[1:])]),
        "machine": machine,
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        **measured,
    }
    isa = result["capability"].lower().replace(" ", "")
    date = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/lm-eval-speed-{machine}-{isa}-{date}.json")
    write_json(out, result)
    print(out)


if __name__ == "__main__":
    run(main)
