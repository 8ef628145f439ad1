"""The page of an experiment in Markdown, made only from its JSON file, and its plot."""

import html
import re

from alloy.comparison.charts import DrawFunction, make_bar_chart
from alloy.comparison.metrics import BY_NAME, Metric
from alloy.core import markdown
from alloy.core.files import Row
from alloy.evidence.experiment import Experiment
from alloy.evidence.machine import format_machine
from alloy.evidence.record import group_records, to_run
from alloy.scoring.settings import Score
from alloy.sweep.axis import TASK_METRIC, get_short_title
from alloy.sweep.configurations import Configuration, compute_mean, compute_mean_drop

PAGE_METRICS = (
    "voc.f1_full",
    "voc.f1",
    "leak",
    "ifeval.leak",
    "mmlu.cloze_acc_norm",
    "mmlu.generated_acc",
    "ifeval.prompt_strict",
    "loss.general",
    "loss.kl",
    "chat.leak",
    "answers.loops",
)
RUN_TABLE_METRICS = 9  # number of these metrics in the table of runs
SAME = 0.001  # models whose metrics differ by less share a column; a note says how much they differ
MAX_ANSWER_LENGTH = 400  # characters; longer answers are cut on the page


def render_page(summary: Row) -> str:
    """Return the page; `summary` is the result of `summarize`."""
    name = summary["name"]
    lines = [f"# {summary['title']}", "", *(f"- {question}" for question in summary["questions"]), ""]
    lines += [
        f"`alloy evidence {name}` runs the missing runs and writes this page. The data is in `{name}.json`.",
        "",
    ]
    if summary["missing"]:
        lines += [f"**Not complete.** Runs that are missing: {', '.join(summary['missing'])}.", ""]
    if summary["findings"]:
        lines += ["## Findings", "", *(f"- {text}" for text in summary["findings"]), ""]
    lines += ["## Metrics", "", "Mean over seeds, with 95 % intervals over seeds and test items together.", ""]
    lines += [
        *render_metric_table(summary),
        "",
        *(f"- {note}" for note in summary["notes"]),
        "",
        f"![]({name}.svg)",
        "",
    ]
    lines += ["## Change against the base model", "", *render_change_table(summary), ""]
    lines += ["## Answers to one question", "", *render_answer_table(summary), ""] if summary["answers"] else []
    lines += ["## Runs", "", *render_run_table(summary), ""]
    return "\n".join(lines)


def select_metrics(summary: Row) -> list[Metric]:
    """Return the metrics of the page that at least one configuration measured."""
    measured = {name for configuration in summary["configurations"] for name in configuration["metrics"]}
    return [BY_NAME[name] for name in PAGE_METRICS if name in measured]


def list_columns(summary: Row) -> list[tuple[str, dict[str, Row]]]:
    """Return (title, estimate by metric) of the base model, each configuration and the SVM.

    If configurations have different test sets, each configuration has its own columns of the base model and the SVM.
    """
    columns: list[tuple[str, dict[str, Row]]] = []
    for model, title in (("base", "base"), ("tuned", ""), ("svm", "SVM")):
        by_configuration = [
            (configuration["label"], _select_estimates(configuration, model))
            for configuration in summary["configurations"]
        ]
        if model == "tuned":
            columns += by_configuration
        elif all(_are_alike(estimates, by_configuration[0][1]) for _, estimates in by_configuration):
            columns.append((title, by_configuration[0][1]))
        else:
            columns += [(f"{title}, {label}", estimates) for label, estimates in by_configuration]
    return [(title, estimates) for title, estimates in columns if estimates]


def _select_estimates(configuration: Row, model: str) -> dict[str, Row]:
    return {name: models[model] for name, models in configuration["metrics"].items() if model in models}


def _are_alike(estimates: dict[str, Row], others: dict[str, Row]) -> bool:
    """Return whether all values differ by less than `SAME`, as those of one model on two machines do."""
    return estimates.keys() == others.keys() and all(
        abs(estimate["value"] - others[name]["value"]) < SAME for name, estimate in estimates.items()
    )


def render_metric_table(summary: Row) -> list[str]:
    """Return the table of means: one line per metric, one column per model."""
    columns = list_columns(summary)
    sizes = {
        name: values["n"]
        for configuration in summary["configurations"]
        for name, values in configuration["metrics"].items()
    }
    rows = [
        [
            _format_title(metric),
            sizes[metric.name],
            *(_format_estimate(estimates.get(metric.name)) for _, estimates in columns),
        ]
        for metric in select_metrics(summary)
    ]
    return markdown.format_table(["", "n", *(title for title, _ in columns)], rows)


def render_change_table(summary: Row) -> list[str]:
    """Return the table of changes from the base model: one line per metric, one column per configuration.

    The last lines are the differences between the tuned models and the SVM.
    """
    configurations = summary["configurations"]
    rows = [
        [
            _format_title(metric),
            *(
                _format_estimate(configuration["metrics"].get(metric.name, {}).get("change"), sign="+")
                for configuration in configurations
            ),
        ]
        for metric in select_metrics(summary)
    ]
    rows += [
        [
            f"{_format_title(metric)}, tuned minus SVM",
            *(
                _format_estimate(configuration["metrics"][metric.name].get("over_svm"), sign="+")
                for configuration in configurations
            ),
        ]
        for metric in select_metrics(summary)
        if any("over_svm" in configuration["metrics"].get(metric.name, {}) for configuration in configurations)
    ]
    return markdown.format_table(["", *(configuration["label"] for configuration in configurations)], rows)


def _format_title(metric: Metric) -> str:
    return metric.title if metric.higher_is_better else f"{metric.title} (lower is better)"


def _format_estimate(estimate: Row | None, sign: str = "") -> str:
    if not estimate:
        return "-"
    form = f"{sign}.3f"
    interval = f" ({estimate['low']:{form}} to {estimate['high']:{form}})" if "low" in estimate else ""
    return f"{estimate['value']:{form}}{interval}"


def render_answer_table(summary: Row) -> list[str]:
    """Return the chat prompt and the answer of each model, from the runs of the first seed."""
    answers = summary["answers"]
    rows = [
        ["base", escape_text(answers["base"])],
        *([label, escape_text(text)] for label, text in answers["tuned"].items()),
    ]
    return [f"> {escape_text(answers['prompt'])}", "", *markdown.format_table(["model", "answer"], rows)]


def escape_text(text: str) -> str:
    """Return text as one line in which Markdown and HTML characters are escaped, cut at `MAX_ANSWER_LENGTH`."""
    line = " ".join(text.split()) or "(empty)"
    line = line if len(line) <= MAX_ANSWER_LENGTH else f"{line[:MAX_ANSWER_LENGTH]}..."
    return re.sub(r"([\\`*_\[\]#~])", r"\\\1", html.escape(line, quote=False))


def render_run_table(summary: Row) -> list[str]:
    """Return the table with one line per run: configuration, headline metrics, budget, commit and machine."""
    metrics = select_metrics(summary)[:RUN_TABLE_METRICS]
    training = {
        (configuration["label"], seed): budget
        for configuration in summary["configurations"]
        for seed, budget in zip(configuration["seeds"], configuration["trained"], strict=True)
    }
    rows = [
        [
            run["configuration"],
            run["seed"],
            *(
                f"{value:.3f}" if (value := run["metrics"].get(metric.name, {}).get("tuned")) is not None else "-"
                for metric in metrics
            ),
            *(_format_known(training[run["configuration"], run["seed"]][key]) for key in ("customer", "steps")),
            f"{run['seconds'] / 60:.0f}" if run["seconds"] else "-",
            run["commit"][:12],
            format_machine(run["machine"]),
        ]
        for run in summary["runs"]
    ]
    head = [
        "configuration",
        "seed",
        *map(get_short_title, metrics),
        "comments",
        "steps",
        "minutes",
        "commit",
        "machine",
    ]
    return markdown.format_table(head, rows)


def _format_known(value: object) -> object:
    return "-" if value is None else value


def make_plot(experiment: Experiment, records: dict[str, Row], score: Score) -> DrawFunction:
    """Return the plot of the task metric against the experiment's axis, with intervals.

    Without an axis, or if a run did not measure it, return a bar chart of the task metric per configuration.
    """
    groups = {
        label: [to_run(record) for record in group] for label, group in group_records(experiment, records).items()
    }
    axis = BY_NAME[experiment.axis] if experiment.axis else None
    if axis is None or any(run.read_estimate(axis) is None for runs in groups.values() for run in runs):
        heights: dict[str, list[float | None]] = {
            model: [
                value["value"] if (value := runs[0].read_estimate(TASK_METRIC, model)) else None
                for runs in groups.values()
            ]
            for model in ("base", "svm")
        }
        means = [
            value["value"] if (value := compute_mean(TASK_METRIC, runs, score)) else None for runs in groups.values()
        ]
        return make_bar_chart(
            list(groups), {"base": heights["base"], "tuned": means, "svm": heights["svm"]}, TASK_METRIC.title
        )
    from alloy.sweep.chart import make_frontier_chart

    configurations = [
        Configuration(
            axis,
            tuple(runs),
            {metric.name: compute_mean(metric, runs, score) for metric in (TASK_METRIC, axis)},
            compute_mean_drop(axis, runs, score),
        )
        for runs in groups.values()
    ]
    return make_frontier_chart(configurations, list(groups), None, experiment.max_loss, legend="tuned")
