"""Measure how well a model follows instructions that a program can check (IFEval), with lm-eval.

Reads   data/prepared/instructions/ifeval.jsonl; models/<model>
Writes  metrics/ifeval/<model>.json, metrics/ifeval/<model>.jsonl (each prompt: what was followed, the answer,
        and `cut`: 1 if it ended at the token limit)
Run     dvc repro ifeval@tuned

A prompt counts when all its instructions are followed. `strict` takes the answer as it is, `loose` also without its
first or last line or its asterisks. Prompts that do not fit the model's context with the longest answer are left out
and counted as `over_context`.
"""

from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.core.settings import load_sections, profile_name
from alloy.core.stage import model_name, run
from alloy.evaluation.ifeval_task import TASK, compute_metrics, make_ifeval_task
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.settings import Harness, Ifeval
from alloy.formats.ifeval import load_prompts
from alloy.modeling.model_folder import context_length, read_hosted_name
from alloy.runtime.resume import METRICS, ROWS


def main() -> None:
    """Load, ask, check, write."""
    name = model_name()
    ifeval, harness = load_sections(Ifeval, Harness)
    out, rows = Path(f"metrics/ifeval/{name}.json"), Path(f"metrics/ifeval/{name}.jsonl")
    if service := read_hosted_name(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"ifeval {name}: skipped, {service} is hosted and lm-eval runs weights on this machine")
        return
    context = context_length(f"models/{name}")
    if ifeval.max_new_tokens >= context:
        raise InputError(
            f"profiles/{profile_name()}.yaml: ifeval.max_new_tokens: {ifeval.max_new_tokens} leaves no room for a "
            f"prompt in the model's context of {context} tokens; lower it"
        )
    prompts = load_prompts(Path("data/prepared/instructions/ifeval.jsonl"))

    def measure(kept: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        model, task = open_model(f"models/{name}", harness), make_ifeval_task(prompts, ifeval.max_new_tokens)
        asked = {"limit": ifeval.limit, "apply_chat_template": True}
        results = run_lm_eval(model, [task], kept, log_samples=True, **asked)
        shares, judged = compute_metrics(results["samples"][TASK])
        return {name: {"ifeval": {**shares, "over_context": results["over_context"][TASK]}}}, [
            {**row, "cut": reached_limit(model, row["answer"], ifeval.max_new_tokens)} for row in judged
        ]

    found = run_resumable("ifeval", name, [ifeval, harness], measure, {METRICS: out, ROWS: rows})[name]["ifeval"]
    print(
        f"ifeval {name}: {found['prompts']} prompts, {found['prompt_strict']:.3f} followed, "
        f"{found['instruction_strict']:.3f} of the instructions; {found['over_context']} over the context are left out"
    )


if __name__ == "__main__":
    run(main)
