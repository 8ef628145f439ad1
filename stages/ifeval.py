"""Measure how well a model follows instructions that a program can check, with lm-eval.

Reads   data/<instructions>/ifeval.jsonl; models/<model>
Writes  metrics/ifeval/<model>.json: the shares of prompts and of instructions that were followed, strictly and loosely
        (without the first or last line, or without asterisks);
        metrics/ifeval/<model>.jsonl: a prompt's verdicts and the answer
Run     dvc repro ifeval@tuned
"""

import sys
from pathlib import Path
from typing import Any

from stages.checkpoint import hosted
from stages.entry import run
from stages.instructions import figures, load_prompts, task, verdicts
from stages.params import load_params, load_profile
from stages.records import write_json, write_jsonl


def main() -> None:
    """Load, ask, check, write."""
    name = sys.argv[1]
    params = load_params()
    ifeval = load_profile(params.profile).ifeval
    harness = load_profile(params.profile).harness
    out = Path(f"metrics/ifeval/{name}.json")
    if service := hosted(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(out.with_suffix(".jsonl"), [])
        print(f"ifeval {name}: skipped, {service} is hosted")
        return
    prompts = load_prompts(Path("data") / params.data.instructions / "ifeval.jsonl")[: ifeval.limit]
    import lm_eval

    from stages.harness import open_model

    evaluate: Any = lm_eval.simple_evaluate  # its decorators hide its signature
    results = evaluate(
        model=open_model(f"models/{name}", harness),
        tasks=[task(prompts, ifeval)],
        apply_chat_template=True,
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = sorted(results["samples"]["ifeval"], key=lambda sample: sample["doc_id"])
    rows = [verdicts(prompt, sample) for prompt, sample in zip(prompts, samples, strict=True)]
    found = figures(rows)
    write_json(out, {name: {"ifeval": found}})
    write_jsonl(out.with_suffix(".jsonl"), rows)
    print(
        f"ifeval {name}: {found['prompt_strict']:.3f} of the prompts, {found['instruction_strict']:.3f} of the "
        "instructions followed"
    )


if __name__ == "__main__":
    run(main)
