"""Measure how well a model follows instructions that a program can check (IFEval), with lm-eval.

Reads   data/<instructions>/ifeval.jsonl; models/<model>
Writes  metrics/ifeval/<model>.json, metrics/ifeval/<model>.jsonl (each prompt: what was followed, and the answer)
Run     dvc repro ifeval@tuned

A prompt counts when all its instructions are followed. `strict` takes the answer as it is, `loose` also without its
first or last line or its asterisks.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.checkpoint import hosted
from stages.entry import run
from stages.instruction_data import load_prompts
from stages.instructions import TASK, figures, instructions_task
from stages.params import load_params, load_profile
from stages.records import Row, write_json, write_jsonl
from stages.scale import Ifeval

if TYPE_CHECKING:
    from lm_eval.api.model import LM


def evaluate(model: "LM", prompts: list[Row], ifeval: Ifeval) -> list[Row]:
    """Return lm-eval's sample of each prompt: the answer, and what it follows."""
    import lm_eval

    evaluate_tasks: Any = lm_eval.simple_evaluate  # its decorators hide its signature
    results = evaluate_tasks(
        model=model,
        tasks=[instructions_task(prompts, ifeval.max_new_tokens)],
        limit=ifeval.limit,
        apply_chat_template=True,
        bootstrap_iters=0,
        log_samples=True,
    )
    return results["samples"][TASK]


def main() -> None:
    """Load, ask, check, write."""
    name = sys.argv[1]
    params = load_params()
    ifeval, harness = load_profile(params.profile).ifeval, load_profile(params.profile).harness
    if service := hosted(f"models/{name}"):
        write_json(f"metrics/ifeval/{name}.json", {name: {}})
        write_jsonl(f"metrics/ifeval/{name}.jsonl", [])
        print(f"ifeval {name}: skipped, {service} is hosted and lm-eval runs weights on this machine")
        return
    prompts = load_prompts(Path("data") / params.data.instructions / "ifeval.jsonl")
    from stages.harness import open_model

    samples = evaluate(open_model(f"models/{name}", harness), prompts, ifeval)
    shares, rows = figures(samples)
    write_json(f"metrics/ifeval/{name}.json", {name: {"ifeval": shares}})
    write_jsonl(f"metrics/ifeval/{name}.jsonl", rows)
    print(
        f"ifeval {name}: {shares['prompts']} prompts, {shares['prompt_strict']:.3f} followed, "
        f"{shares['instruction_strict']:.3f} of the instructions"
    )


if __name__ == "__main__":
    run(main)
