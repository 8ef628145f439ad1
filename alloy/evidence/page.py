"""The page of an experiment, in Markdown, from its JSON file alone, and the plot beside it."""

import html
import re

from alloy.comparison.charts import Draw, bars
from alloy.comparison.metrics import BY_NAME, Metric
from alloy.core import markdown
from alloy.core.files import Row
from alloy.evidence.experiment import Experiment
from alloy.evidence.machine import machine_words
from alloy.evidence.record import as_run, runs_by_configuration
from alloy.scoring.settings import Score
from alloy.sweep.axis import TASK, short_title
from alloy.sweep.configurations import Configuration, loss_of, mean

SHOWN = (
    "voc.f1_full",
    "voc.f1",
    "leak",
    "mmlu.cloze_acc_norm",
    "mmlu.generated_acc",
    "ifeval.prompt_strict",
    "loss.general",
    "loss.kl",
    "chat.leak",
    "answers.loops",
)
HEADLINES = 8  # of these, in the table of runs
CUT = 400  # characters of an answer that the page shows


def page(found: Row) -> str:
    """Return the page of what `summarize` returned."""
    name = found["name"]
    lines = [f"# {found['title']}", "", *(f"- {question}" for question in found["questions"]), ""]
    lines += [
        f"`alloy evidence {name}` runs what is missing and writes this page; its figures are in `{name}.json`.",
        "",
    ]
    if found["missing"]:
        lines += [f"**Not complete.** Runs that are missing: {', '.join(found['missing'])}.", ""]
    if found["findings"]:
        lines += ["## Findings", "", *(f"- {text}" for text in found["findings"]), ""]
    lines += ["## Metrics", "", "Mean over seeds, with 95 % intervals over seeds and test items together.", ""]
    lines += [*metric_table(found), "", *(f"- {note}" for note in found["notes"]), "", f"![]({name}.svg)", ""]
    lines += ["## Change against the base model", "", *change_table(found), ""]
    lines += ["## The same question", "", *answer_table(found), ""] if found["answers"] else []
    lines += ["## Runs", "", *run_table(found), ""]
    return "\n".join(lines)


def shown(found: Row) -> list[Metric]:
    """Return the metrics of the tables that some configuration measured."""
    measured = {name for one in found["configurations"] for name in one["metrics"]}
    return [BY_NAME[name] for name in SHOWN if name in measured]


def columns(found: Row) -> list[tuple[str, dict[str, Row]]]:
    """Return (title, figure by metric) of base, each configuration and the SVM.

    Configurations that have tests of their own have a base and an SVM of their own.
    """
    made: list[tuple[str, dict[str, Row]]] = []
    for model, title in (("base", "base"), ("tuned", ""), ("svm", "SVM")):
        own = [(one["label"], _of(one, model)) for one in found["configurations"]]
        if model == "tuned":
            made += own
        elif all(_values(figures) == _values(own[0][1]) for _, figures in own):
            made.append((title, own[0][1]))
        else:
            made += [(f"{title}, {label}", figures) for label, figures in own]
    return [(title, figures) for title, figures in made if figures]


def _of(one: Row, model: str) -> dict[str, Row]:
    return {name: own[model] for name, own in one["metrics"].items() if model in own}


def _values(figures: dict[str, Row]) -> dict[str, float]:
    """Return figures as a table shows them, by which they are told apart."""
    return {name: round(figure["value"], 3) for name, figure in figures.items()}


def metric_table(found: Row) -> list[str]:
    """Return the table of means: a metric per line, a model per column."""
    models = columns(found)
    sizes = {name: own["n"] for one in found["configurations"] for name, own in one["metrics"].items()}
    rows = [
        [_title(metric), sizes[metric.name], *(_figure(figures.get(metric.name)) for _, figures in models)]
        for metric in shown(found)
    ]
    return markdown.format_table(["", "n", *(title for title, _ in models)], rows)


def change_table(found: Row) -> list[str]:
    """Return the table of changes: a metric per line, a configuration per column; at the end those against the SVM."""
    own = found["configurations"]
    rows = [
        [_title(metric), *(_figure(one["metrics"].get(metric.name, {}).get("change"), sign="+") for one in own)]
        for metric in shown(found)
    ]
    rows += [
        [
            f"{_title(metric)}, tuned less SVM",
            *(_figure(one["metrics"][metric.name].get("over_svm"), sign="+") for one in own),
        ]
        for metric in shown(found)
        if any("over_svm" in one["metrics"].get(metric.name, {}) for one in own)
    ]
    return markdown.format_table(["", *(one["label"] for one in own)], rows)


def _title(metric: Metric) -> str:
    return metric.title if metric.higher_is_better else f"{metric.title} (lower is better)"


def _figure(figure: Row | None, sign: str = "") -> str:
    if not figure:
        return "-"
    form = f"{sign}.3f"
    interval = f" ({figure['low']:{form}} to {figure['high']:{form}})" if "low" in figure else ""
    return f"{figure['value']:{form}}{interval}"


def answer_table(found: Row) -> list[str]:
    """Return the question and its answers, by model; those of the first seed."""
    said = found["answers"]
    rows = [["base", plain(said["base"])], *([label, plain(text)] for label, text in said["tuned"].items())]
    return [f"> {plain(said['prompt'])}", "", *markdown.format_table(["model", "answer"], rows)]


def plain(text: str) -> str:
    """Return a model's text as one line that Markdown and HTML leave as it is, cut if it is long."""
    line = " ".join(text.split()) or "(empty)"
    line = line if len(line) <= CUT else f"{line[:CUT]}.."
    return re.sub(r"([\\`*_\[\]#~])", r"\\\1", html.escape(line, quote=False))


def run_table(found: Row) -> list[str]:
    """Return a line per run: what it was made from and on, and the headline metrics."""
    metrics = shown(found)[:HEADLINES]
    seen = {
        (one["label"], seed): told
        for one in found["configurations"]
        for seed, told in zip(one["seeds"], one["trained"], strict=True)
    }
    rows = [
        [
            run["configuration"],
            run["seed"],
            *(
                f"{value:.3f}" if (value := run["metrics"].get(metric.name, {}).get("tuned")) is not None else "-"
                for metric in metrics
            ),
            *(_known(seen[run["configuration"], run["seed"]][key]) for key in ("customer", "steps")),
            f"{run['seconds'] / 60:.0f}" if run["seconds"] else "-",
            run["commit"][:12],
            machine_words(run["machine"]),
        ]
        for run in found["runs"]
    ]
    head = ["configuration", "seed", *map(short_title, metrics), "comments", "steps", "minutes", "commit", "machine"]
    return markdown.format_table(head, rows)


def _known(value: object) -> object:
    return "-" if value is None else value


def plot(experiment: Experiment, records: dict[str, Row], score: Score) -> Draw:
    """Return the plot: the task over the axis, with intervals; or bars of the task, by configuration."""
    groups = {label: [as_run(one) for one in own] for label, own in runs_by_configuration(experiment, records).items()}
    axis = BY_NAME[experiment.axis] if experiment.axis else None
    if axis is None or any(run.figure(axis) is None for own in groups.values() for run in own):
        heights: dict[str, list[float | None]] = {
            model: [value["value"] if (value := own[0].figure(TASK, model)) else None for own in groups.values()]
            for model in ("base", "svm")
        }
        means = [value["value"] if (value := mean(TASK, own, score)) else None for own in groups.values()]
        return bars(list(groups), {"base": heights["base"], "tuned": means, "svm": heights["svm"]}, TASK.title)
    from alloy.sweep.chart import front

    configurations = [
        Configuration(
            axis, tuple(own), {one.name: mean(one, own, score) for one in (TASK, axis)}, loss_of(axis, own, score)
        )
        for own in groups.values()
    ]
    return front(configurations, list(groups), None, experiment.max_loss, legend="tuned")
