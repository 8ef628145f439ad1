"""Summary of an experiment's records: means over seeds with intervals, each run, answers of all models."""

from dataclasses import asdict, fields
from statistics import fmean
from typing import Any

from alloy.comparison.costs import Budget
from alloy.comparison.metrics import METRICS, Metric
from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import Row
from alloy.evidence.experiment import Experiment
from alloy.evidence.machine import format_machine
from alloy.evidence.record import group_records, read_budget, to_run
from alloy.scoring.bootstrap import Estimate
from alloy.scoring.seeds import estimate_change_over_seeds, estimate_mean_of_values
from alloy.scoring.settings import Score
from alloy.sweep.configurations import compute_mean
from alloy.sweep.results import Run, count_rows

COMPARED = [metric for metric in METRICS if metric.compared]
OTHER_MODELS = ("base", "svm")


def summarize(name: str, experiment: Experiment, records: dict[str, Row], score: Score) -> Row:
    """Return the contents of docs/evidence/<name>.json; `records` are by run name."""
    groups = group_records(experiment, records)
    return {
        "name": name,
        "title": experiment.title,
        "questions": experiment.questions,
        "findings": experiment.findings,
        "settings": experiment.settings,
        "seeds": experiment.seeds,
        "missing": [run.name for run in experiment.list_runs() if run.name not in records],
        "notes": list_notes(groups),
        "configurations": [
            {
                "label": label,
                "settings": experiment.configurations[label],
                "seeds": [record["seed"] for record in group],
                "trained": [describe_training(record) for record in group],
                "metrics": summarize_metrics([to_run(record) for record in group], score),
            }
            for label, group in groups.items()
        ],
        "runs": [summarize_run(record) for group in groups.values() for record in group],
        "answers": collect_answers(experiment.prompt, groups),
    }


def summarize_metrics(runs: list[Run], score: Score) -> Row:
    """Return `{n, base, tuned, svm, change, over_svm}` of each metric that all runs of a configuration measured.

    `change` is tuned minus base and `over_svm` tuned minus SVM, each `{value, low?, high?, p?}`.
    """
    summarized = {}
    for metric in COMPARED:
        tuned = compute_mean(metric, runs, score)
        if tuned is None:
            continue
        other_models = {model: estimate for model in OTHER_MODELS if (estimate := runs[0].read_estimate(metric, model))}
        changes = {
            key: change
            for key, model in (("change", "base"), ("over_svm", "svm"))
            if model in other_models and (change := estimate_difference(metric, runs, model, key, score))
        }
        summarized[metric.name] = {"n": runs[0].lines[metric.name]["n"], **other_models, "tuned": tuned, **changes}
    return summarized


def estimate_difference(metric: Metric, runs: list[Run], model: str, key: str, score: Score) -> Row | None:
    """Return the tuned models' mean minus `model`; `key` is the key of this difference in a line of a comparison."""
    if len(runs) == 1:
        return runs[0].lines[metric.name].get(key)
    values = [change["value"] for run in runs if (change := run.lines[metric.name].get(key))]
    if len(values) < len(runs):
        return None
    estimate: Estimate | None = None
    if not any(run.has_too_few_items(metric) for run in runs):
        items, counts = metric.items, count_rows(metric, [(runs[0], model), *((run, "tuned") for run in runs)])
        if items is None or counts is None:
            estimate = estimate_mean_of_values(values)
        else:
            estimate = estimate_change_over_seeds(counts[0], counts[1:], items.statistic, score.resamples, score.seed)
    fields = asdict(estimate) if estimate else {"value": fmean(values)}
    return {name: round(value, 4) for name, value in fields.items()}


def describe_training(record: Row) -> Row:
    """Return the training budget of a run and `comments`, the number of training comments; unknown values are None."""
    budget = read_budget(record)
    values = asdict(budget) if budget else dict.fromkeys(field.name for field in fields(Budget))
    return {"comments": record["comments"], **values}


def summarize_run(record: Row) -> Row:
    """Return a run's settings, commit and machine, and the value and n of each metric, by model."""
    identity = {key: record[key] for key in ("run", "configuration", "seed", "settings", "commit", "date")}
    lines = {line["name"]: line for line in record["measures"] if line.get("name")}
    values = {
        name: {"n": line["n"], **{model: estimate["value"] for model, estimate in line["models"].items()}}
        for name, line in lines.items()
    }
    environment = {
        "machine": record["machine"],
        "versions": record["versions"],
        "seconds": sum(record["seconds"].values()),
    }
    return {**identity, **environment, "verdict": record["verdict"], "metrics": values}


def collect_answers(prompt: str, groups: dict[str, list[Row]]) -> Row | None:
    """Return the base model's and each configuration's answer to a prompt (first run); None if no run answered it."""
    collected: dict[str, Any] = {}
    for label, group in groups.items():
        row = next((row for row in group[0]["chat"] if row["id"] == prompt), None)
        if row:
            collected.setdefault("prompt", row["prompt"])
            collected.setdefault("base", row["base"])
            collected.setdefault("tuned", {})[label] = row["tuned"]
    return collected or None


def list_notes(groups: dict[str, list[Row]]) -> list[str]:
    """Return notes for readers of the metrics: single seeds, several machines, what the SVM learned from."""
    records = [record for group in groups.values() for record in group]
    lines = []
    single = [label for label, group in groups.items() if len(group) == 1]
    if len(single) == len(groups):
        lines.append(ONE_SEED)
    elif single:
        lines.append(f"One training seed, so the intervals leave out the variation between seeds: {', '.join(single)}.")
    machines = list(dict.fromkeys(format_machine(record["machine"]) for record in records))
    lines.append(f"Made on {' and on '.join(machines)}.")
    if base_difference := find_largest_base_difference(list(groups.values())):
        lines.append(
            f"The base model's metrics differ between the machines, by {base_difference:.4f} at most; each run has its "
            "own."
        )
    seen_counts = sorted({count for record in records if (count := describe_training(record)["customer"]) is not None})
    comment_counts = sorted({record["comments"] for record in records if record["comments"]})
    if comment_counts and seen_counts and seen_counts != comment_counts:
        span = " to ".join(f"{count:,}" for count in dict.fromkeys((seen_counts[0], seen_counts[-1])))
        lines.append(
            f"The SVM learned from all {comment_counts[-1]:,} training comments, the tuned models from {span} of them."
        )
    return lines


def find_largest_base_difference(groups: list[list[Row]]) -> float:
    """Return the largest difference of a metric of the base model between runs of one configuration."""
    largest = 0.0
    for group in groups:
        lines = [{line["name"]: line["models"] for line in record["measures"] if line.get("name")} for record in group]
        for name in lines[0]:
            values = [models[name]["base"]["value"] for models in lines if "base" in models.get(name, {})]
            largest = max(largest, max(values) - min(values)) if values else largest
    return largest
