"""What the records of an experiment say together: means over seeds with intervals, each run, answers side by side."""

from dataclasses import asdict, fields
from statistics import fmean
from typing import Any

from alloy.comparison.costs import Budget
from alloy.comparison.metrics import METRICS, Metric
from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import Row
from alloy.evidence.experiment import Experiment
from alloy.evidence.machine import machine_words
from alloy.evidence.record import as_run, runs_by_configuration, seen
from alloy.scoring.bootstrap import Estimate
from alloy.scoring.seeds import estimate_change_over_seeds, estimate_mean_of_values
from alloy.scoring.settings import Score
from alloy.sweep.configurations import mean
from alloy.sweep.results import Run, counts_of

COMPARED = [metric for metric in METRICS if metric.compared]
MODELS = ("base", "svm")


def summarize(name: str, experiment: Experiment, records: dict[str, Row], score: Score) -> Row:
    """Return the content of docs/evidence/<name>.json; `records` are by run."""
    groups = runs_by_configuration(experiment, records)
    return {
        "name": name,
        "title": experiment.title,
        "questions": experiment.questions,
        "findings": experiment.findings,
        "settings": experiment.settings,
        "seeds": experiment.seeds,
        "missing": [point.name for point in experiment.points() if point.name not in records],
        "notes": notes(groups),
        "configurations": [
            {
                "label": label,
                "settings": experiment.configurations[label],
                "seeds": [record["seed"] for record in own],
                "trained": [trained(record) for record in own],
                "metrics": metrics([as_run(record) for record in own], score),
            }
            for label, own in groups.items()
        ],
        "runs": [run_row(record) for own in groups.values() for record in own],
        "answers": answers(experiment.prompt, groups),
    }


def metrics(runs: list[Run], score: Score) -> Row:
    """Return `{n, base, tuned, svm, change, over_svm}` of each metric that all runs of a configuration measured.

    `change` is of the tuned models against base, `over_svm` against the SVM, each `{value, low?, high?, p?}`.
    """
    found = {}
    for metric in COMPARED:
        tuned = mean(metric, runs, score)
        if tuned is None:
            continue
        others = {model: figure for model in MODELS if (figure := runs[0].figure(metric, model))}
        changes = {
            key: change
            for key, model in (("change", "base"), ("over_svm", "svm"))
            if model in others and (change := difference(metric, runs, model, key, score))
        }
        found[metric.name] = {"n": runs[0].lines[metric.name]["n"], **others, "tuned": tuned, **changes}
    return found


def difference(metric: Metric, runs: list[Run], model: str, key: str, score: Score) -> Row | None:
    """Return by how much the tuned models' mean exceeds `model`; `key` is its place in the line of a comparison."""
    if len(runs) == 1:
        return runs[0].lines[metric.name].get(key)
    values = [change["value"] for run in runs if (change := run.lines[metric.name].get(key))]
    if len(values) < len(runs):
        return None
    found: Estimate | None = None
    if not any(run.too_few(metric) for run in runs):
        items, counts = metric.items, counts_of(metric, [(runs[0], model), *((run, "tuned") for run in runs)])
        if items is None or counts is None:
            found = estimate_mean_of_values(values)
        else:
            found = estimate_change_over_seeds(counts[0], counts[1:], items.statistic, score.resamples, score.seed)
    whole = asdict(found) if found else {"value": fmean(values)}
    return {name: round(value, 4) for name, value in whole.items()}


def trained(record: Row) -> Row:
    """Return what a run's training saw: customer examples, the share of general data, steps.

    `comments` is how many there were to train on. What the run does not tell is None.
    """
    given = seen(record)
    told = asdict(given) if given else dict.fromkeys(one.name for one in fields(Budget))
    return {"comments": record["comments"], **told}


def run_row(record: Row) -> Row:
    """Return a run: what it was made from and on, and each metric's value and n, by model."""
    kept = {key: record[key] for key in ("run", "configuration", "seed", "settings", "commit", "date")}
    lines = {line["name"]: line for line in record["measures"] if line.get("name")}
    values = {
        name: {"n": line["n"], **{model: figure["value"] for model, figure in line["models"].items()}}
        for name, line in lines.items()
    }
    made = {"machine": record["machine"], "versions": record["versions"], "seconds": sum(record["seconds"].values())}
    return {**kept, **made, "verdict": record["verdict"], "metrics": values}


def answers(prompt: str, groups: dict[str, list[Row]]) -> Row | None:
    """Return what base and the first run of each configuration answered to one prompt; None if it was not asked."""
    found: dict[str, Any] = {}
    for label, own in groups.items():
        row = next((row for row in own[0]["chat"] if row["id"] == prompt), None)
        if row:
            found.setdefault("prompt", row["prompt"])
            found.setdefault("base", row["base"])
            found.setdefault("tuned", {})[label] = row["tuned"]
    return found or None


def notes(groups: dict[str, list[Row]]) -> list[str]:
    """Return what a reader must know of the figures: one seed alone, several machines, what the SVM learned from."""
    records = [record for own in groups.values() for record in own]
    said = []
    if any(len(own) == 1 for own in groups.values()):
        said.append(ONE_SEED)
    machines = list(dict.fromkeys(machine_words(record["machine"]) for record in records))
    said.append(f"Made on {' and on '.join(machines)}.")
    if moved := base_differences(list(groups.values())):
        said.append(
            f"The base model's metrics differ between the machines, by {moved:.4f} at most; each run has its own."
        )
    learned = sorted({count for record in records if (count := trained(record)["customer"]) is not None})
    given = sorted({record["comments"] for record in records if record["comments"]})
    if given and learned and learned != given:
        span = " to ".join(f"{count:,}" for count in dict.fromkeys((learned[0], learned[-1])))
        said.append(f"The SVM learned from all {given[-1]:,} training comments, the tuned models from {span} of them.")
    return said


def base_differences(groups: list[list[Row]]) -> float:
    """Return by how much a metric of base differs at most between runs of a configuration; 0 if it does not."""
    most = 0.0
    for own in groups:
        lines = [{line["name"]: line["models"] for line in record["measures"] if line.get("name")} for record in own]
        for name in lines[0]:
            values = [models[name]["base"]["value"] for models in lines if "base" in models.get(name, {})]
            most = max(most, max(values) - min(values)) if values else most
    return most
