"""Set base, tuned model and rival side by side: each figure with its interval, and what tuning changed.

Reads   metrics/{score,mmlu,ifeval,general,chat}/<model>.json and, for intervals and leakage, .jsonl;
        metrics/general_loss.json and .jsonl; data/split/taxonomy.json, task.json: the task's format; train.jsonl,
        counted; metrics/mix.json, base.json, train.json, svm.json, infer/<model>.json: what was spent
Writes  metrics/answers/<model>.jsonl (general answers: in the task's format, empty, cut, looping),
        metrics/summary.json (the headline figures, for `dvc metrics diff`), metrics/compare.json (all of them, with
        intervals and significance), metrics/tradeoff.csv (for `dvc plots`)
Run     dvc repro compare
"""

from pathlib import Path

from alloy.comparison.answers import judge_answers, with_leakage
from alloy.comparison.common_items import keep_common_comments
from alloy.comparison.compare import Rows, compare, require_same
from alloy.comparison.costs import budget, read_costs, told, trained_share
from alloy.comparison.formulation import FORMULATIONS, with_headline
from alloy.comparison.item_rows import loss_rows
from alloy.comparison.metrics import ANSWERS, MODELS, STAGES, headline
from alloy.comparison.result_tables import render_cost_table, render_table
from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import as_text, verdict
from alloy.core.files import Row, count_lines, read_json, read_jsonl, write_json, write_jsonl, write_whole
from alloy.core.metrics_file import read_metrics
from alloy.core.settings import load_sections
from alloy.core.stage import run
from alloy.core.tables import csv_text
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.answer import codes_of
from alloy.labelling.leakage import TaskFormat
from alloy.labelling.settings import LabelsAs, Prompt
from alloy.scoring.settings import Score
from alloy.training.settings import Train


def _read(model: str) -> tuple[Row, dict[str, Rows]]:
    """Return a model's figures and rows, by part; the rival has but the task's."""
    figures: Row = {}
    rows: dict[str, Rows] = {}
    for part, stage in STAGES.items():
        file = Path("metrics/general_loss.json" if part == "loss" else f"metrics/{stage}/{model}.json")
        if model == "svm" and part != "voc":
            continue
        figures |= read_metrics(file, model)
        counted = file.with_suffix(".jsonl")
        if part in figures and counted.is_file() and counted.read_bytes().strip():
            rows[part] = read_jsonl(counted)
    if "loss" in rows:  # one file of both models
        rows["loss"] = loss_rows(rows["loss"], model)
    return figures, rows


def _task_format(prompt: Prompt) -> TaskFormat:
    taxonomy = Taxonomy.from_rows(read_json("data/split/taxonomy.json"))
    codes = codes_of(taxonomy) if prompt.labels is LabelsAs.code else None
    return TaskFormat.of(taxonomy, read_json("data/split/task.json"), codes)


def main() -> None:
    """Read, compare, write."""
    score, prompt, train = load_sections(Score, Prompt, Train)
    read = {model: _read(model) for model in MODELS}
    figures, rows = with_headline(
        {model: figures for model, (figures, _) in read.items()}, {model: rows for model, (_, rows) in read.items()}
    )
    figures, rows = keep_common_comments(figures, rows)
    for model in MODELS[1:]:
        for part, counted in rows[model].items():
            if part in rows["base"]:
                require_same(f"metrics/{STAGES[part]}/{model}.jsonl", counted, rows["base"][part])
    task = _task_format(prompt)
    rows = {model: judge_answers(own, task) for model, own in rows.items()}
    figures = {model: with_leakage(own, rows[model]) for model, own in figures.items()}
    lines = compare(figures, rows, score.resamples, score.seed)
    findings = verdict(lines)
    mix = read_metrics("metrics/mix.json", "mix", need=("achieved", "source"))
    trained = read_metrics("metrics/train.json", "train")
    ratio = trained_share(mix, trained)
    print(f"Trained on {1 - ratio:.0%} customer and {ratio:.0%} general data")
    if given := budget(mix, trained, train.lr):
        print(*told(given, count_lines("data/split/train.jsonl") - prompt.examples), sep="\n")
    print()
    one_seed = [ONE_SEED] if figures["tuned"] else []  # a hosted base is not
    words = "\n".join([as_text(findings), *one_seed])
    print(render_table(lines), render_cost_table(read_costs()), words, sep="\n\n")
    formulation = figures["base"].get("mmlu", {}).get("formulation")
    if formulation:
        print(f"Headline of general knowledge: {FORMULATIONS[formulation]} (mmlu.{formulation}), where base does best")
    if ratio == 0:
        print("Mix general data in and see what it keeps: dvc exp run -S mix.ratio=0.25")
    both = [model for model in MODELS if {"voc", "mmlu"} <= figures[model].keys()]
    points = [(model, figures[model]["mmlu"]["acc"], figures[model]["voc"]["f1"]) for model in both]
    write_whole("metrics/tradeoff.csv", lambda part: part.write_text(csv_text(("model", "mmlu_acc", "voc_f1"), points)))
    for model in MODELS[:2]:
        write_jsonl(f"metrics/{ANSWERS}/{model}.jsonl", rows[model].get(ANSWERS, []))
    write_json(
        "metrics/compare.json",
        {"measures": lines, "verdict": [finding.row for finding in findings], "mmlu": {"formulation": formulation}},
    )
    write_json("metrics/summary.json", {model: headline(figures[model]) for model in MODELS})


if __name__ == "__main__":
    run(main)
