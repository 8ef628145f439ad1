"""Compare base, tuned model and baseline: each metric with its interval, and what tuning changed.

Reads   metrics/{score,mmlu,ifeval,general,chat}/<model>.json and, for intervals and leakage, .jsonl;
        metrics/general_loss.json and .jsonl; data/split/taxonomy.json, task.json (the task's format), train.jsonl
        (its number of rows); metrics/mix.json, base.json, train.json, svm.json, infer/<model>.json (costs)
Writes  metrics/answers/<model>.jsonl (each general answer: is it in the task's format, empty, cut, looping),
        metrics/summary.json (headline metrics, for `dvc metrics diff`), metrics/compare.json (all metrics with
        intervals and significance), metrics/tradeoff.csv (for `dvc plots`)
Run     dvc repro compare
"""

from pathlib import Path

from alloy.comparison.answers import add_leakage, flag_answers
from alloy.comparison.common_items import keep_answered_prompts, keep_common_comments
from alloy.comparison.compare import Rows, compare_models, require_same_ids
from alloy.comparison.costs import compute_budget, describe_budget, find_trained_share, read_costs
from alloy.comparison.formulation import add_headline, describe_headline
from alloy.comparison.item_rows import select_loss_rows
from alloy.comparison.metrics import ANSWERS, LANGUAGE_MODELS, MODELS, STAGES, select_headline
from alloy.comparison.result_tables import render_cost_table, render_table
from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import judge_comparison, render_findings
from alloy.core.files import Row, count_lines, read_json, read_jsonl, write_atomically, write_json, write_jsonl
from alloy.core.metrics_file import read_metrics
from alloy.core.settings import load_sections
from alloy.core.stage import run
from alloy.core.tables import format_csv
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import assign_codes
from alloy.labeling.leakage import TaskFormat
from alloy.labeling.settings import LabelFormat, Prompt
from alloy.scoring.settings import Score
from alloy.training.settings import Train


def _read_model(model: str) -> tuple[Row, dict[str, Rows]]:
    """Return a model's metrics and rows, by part; the SVM has only those of the customer task."""
    metrics: Row = {}
    rows: dict[str, Rows] = {}
    for part, stage in STAGES.items():
        file = Path("metrics/general_loss.json" if part == "loss" else f"metrics/{stage}/{model}.json")
        if model == "svm" and part != "voc":
            continue
        metrics |= read_metrics(file, model)
        rows_file = file.with_suffix(".jsonl")
        if part in metrics and rows_file.is_file() and rows_file.read_bytes().strip():
            rows[part] = read_jsonl(rows_file)
    if "loss" in rows:  # one file for both models
        rows["loss"] = select_loss_rows(rows["loss"], model)
    return metrics, rows


def _load_task_format(prompt: Prompt) -> TaskFormat:
    taxonomy = Taxonomy.from_rows(read_json("data/split/taxonomy.json"))
    codes = assign_codes(taxonomy) if prompt.labels is LabelFormat.code else None
    return TaskFormat.from_task(taxonomy, read_json("data/split/task.json"), codes)


def main() -> None:
    """Read metrics and rows, compare the models, print and write the comparison."""
    score, prompt, train = load_sections(Score, Prompt, Train)
    read = {model: _read_model(model) for model in MODELS}
    metrics, rows = add_headline(
        {model: metrics for model, (metrics, _) in read.items()}, {model: rows for model, (_, rows) in read.items()}
    )
    metrics, rows = keep_common_comments(metrics, rows)
    for model in MODELS[1:]:
        for part, part_rows in rows[model].items():
            if part in rows["base"]:
                require_same_ids(f"metrics/{STAGES[part]}/{model}.jsonl", part_rows, rows["base"][part])
    task = _load_task_format(prompt)
    rows = {model: flag_answers(model_rows, task) for model, model_rows in keep_answered_prompts(rows).items()}
    metrics = {model: add_leakage(model_metrics, rows[model]) for model, model_metrics in metrics.items()}
    lines = compare_models(metrics, rows, score.resamples, score.seed)
    findings = judge_comparison(lines)
    mix = read_metrics("metrics/mix.json", "mix", required=("achieved", "source"))
    train_metrics = read_metrics("metrics/train.json", "train")
    ratio = find_trained_share(mix, train_metrics)
    print(f"Trained on {1 - ratio:.0%} customer and {ratio:.0%} general data")
    if budget := compute_budget(mix, train_metrics, train.lr):
        print(*describe_budget(budget, count_lines("data/split/train.jsonl") - prompt.examples), sep="\n")
    print()
    one_seed = [ONE_SEED] if metrics["tuned"] else []  # a hosted model is not trained
    conclusion = "\n".join([render_findings(findings), *one_seed])
    print(render_table(lines), render_cost_table(read_costs()), conclusion, sep="\n\n")
    formulation = metrics["base"].get("mmlu", {}).get("formulation")
    if formulation:
        print(describe_headline(formulation))
    if ratio == 0:
        print("To reduce forgetting, mix in general data: dvc exp run -S mix.ratio=0.25")
    both = [model for model in MODELS if {"voc", "mmlu"} <= metrics[model].keys()]
    points = [(model, metrics[model]["mmlu"]["acc"], metrics[model]["voc"]["f1"]) for model in both]
    write_atomically(
        "metrics/tradeoff.csv", lambda file: file.write_text(format_csv(("model", "mmlu_acc", "voc_f1"), points))
    )
    for model in LANGUAGE_MODELS:
        write_jsonl(f"metrics/{ANSWERS}/{model}.jsonl", rows[model].get(ANSWERS, []))
    write_json(
        "metrics/compare.json",
        {"measures": lines, "verdict": [finding.row for finding in findings], "mmlu": {"formulation": formulation}},
    )
    write_json("metrics/summary.json", {model: select_headline(metrics[model]) for model in MODELS})


if __name__ == "__main__":
    run(main)
