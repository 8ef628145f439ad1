"""Measure with lm-eval how well a model follows instructions that a program can check (IFEval).

Reads   data/prepared/instructions/ifeval.jsonl; models/<model>
Writes  metrics/ifeval/<model>.json, metrics/ifeval/<model>.jsonl (per prompt: which instructions were followed, the
        answer, and `cut`: 1 if it ended at the token limit)
Run     dvc repro ifeval@tuned

A prompt is followed if all its instructions are. `strict` checks the answer as it is; `loose` also accepts it without
its first or last line, or without asterisks. Prompts that do not fit the model's context together with the longest
answer are left out and counted as `over_context`.
"""

from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.core.settings import load_profile_name, load_sections
from alloy.core.stage import read_model_name, run
from alloy.evaluation.ifeval_task import TASK, compute_metrics, make_ifeval_task
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.settings import Harness, Ifeval
from alloy.formats.ifeval import load_prompts
from alloy.modeling.model_folder import load_context_length, read_hosted_name
from alloy.runtime.resume import METRICS, ROWS


def main() -> None:
    """Load the model, generate and check the answers, write rows and metrics."""
    name = read_model_name()
    ifeval, harness = load_sections(Ifeval, Harness)
    out, rows = Path(f"metrics/ifeval/{name}.json"), Path(f"metrics/ifeval/{name}.jsonl")
    if service := read_hosted_name(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"ifeval {name}: skipped, {service} is hosted, and lm-eval needs a local model")
        return
    context = load_context_length(f"models/{name}")
    if ifeval.max_new_tokens >= context:
        raise InputError(
            f"profiles/{load_profile_name()}.yaml: ifeval.max_new_tokens: expected less than the model's context of "
            f"{context} tokens, got {ifeval.max_new_tokens}; lower the value, so that prompts fit"
        )
    prompts = load_prompts(Path("data/prepared/instructions/ifeval.jsonl"))

    def measure_prompts(database: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        model, task = open_model(f"models/{name}", harness), make_ifeval_task(prompts, ifeval.max_new_tokens)
        options = {"limit": ifeval.limit, "apply_chat_template": True}
        results = run_lm_eval(model, [task], database, log_samples=True, **options)
        shares, checked_rows = compute_metrics(results["samples"][TASK])
        return {name: {"ifeval": {**shares, "over_context": results["over_context"][TASK]}}}, [
            {**row, "cut": reached_limit(model, row["answer"], ifeval.max_new_tokens)} for row in checked_rows
        ]

    metrics = run_resumable("ifeval", name, [ifeval, harness], measure_prompts, {METRICS: out, ROWS: rows})[name][
        "ifeval"
    ]
    left_out = f" ({count} longer than the context left out)" if (count := metrics["over_context"]) else ""
    print(
        f"ifeval {name}: {metrics['prompts']} prompts{left_out}, {metrics['prompt_strict']:.3f} followed; "
        f"{metrics['instruction_strict']:.3f} of the instructions followed"
    )


if __name__ == "__main__":
    run(main)
