"""Compare the configurations of this commit's runs: table, Pareto front, and the best one within a limit on loss.

Reads   the finished experiments of the current commit, that commit and the workspace, through DVC
        (alloy/sweep/results.py)
Writes  metrics/frontier/frontier.md, .csv, .svg; git ignores them, since the experiments are also local
Run     alloy frontier, alloy frontier --max-loss 0.05, alloy frontier --axis ifeval.prompt_strict

This is not a stage: it compares runs of the whole pipeline. Runs that differ only in their seed are one configuration,
shown as means with intervals over seeds and test items (alloy/scoring/seeds.py). The limit is the largest loss of
general ability compared with base: `--max-loss`, else the gate's limit on that metric, else 0.02.
"""

from pathlib import Path

from alloy.comparison.costs import describe_unequal_budgets
from alloy.comparison.metrics import METRICS, Metric
from alloy.comparison.settings import Gate
from alloy.core import markdown
from alloy.core.files import InputError, Row, write_atomically
from alloy.core.settings import load_sections
from alloy.core.tables import format_csv
from alloy.scoring.settings import Score
from alloy.sweep.analyze import (
    choose_best,
    describe_intervals,
    describe_recommendation,
    list_caveats,
    make_label,
    mark_front,
)
from alloy.sweep.axis import choose_limit, compute_drop, find_axis, get_short_title
from alloy.sweep.configurations import Configuration, describe_missing_seeds, group_runs
from alloy.sweep.results import Run, read_runs

OUT = Path("metrics/frontier")


def select_metrics(axis: Metric) -> list[Metric]:
    """Return the metrics that become columns: those that describe the trade-off, and the axis."""
    metrics = [metric for metric in METRICS if metric.short]
    return metrics if axis.name in {metric.name for metric in metrics} else [*metrics, axis]


def render_table(configurations: list[Configuration], limit: float) -> str:
    """Return the configurations, then base and SVM, as a Markdown table aligned for the terminal.

    Column `ratio` is the requested share of general data, `trained` the share that training saw.
    """
    axis = configurations[0].axis
    metrics, chosen = select_metrics(axis), choose_best(configurations, limit)
    titles = [
        *(f"{get_short_title(metric)}{_describe_items(metric, configurations)}" for metric in metrics),
        f"{get_short_title(axis)} loss",
    ]
    lines = [
        [
            f"{'> ' if configuration is chosen else ''}{configuration.ratio:g}",
            "-" if configuration.general_share is None else f"{configuration.general_share:.3f}",
            f"{configuration.lr:g}",
            *(_format_interval(configuration.estimates.get(metric.name)) for metric in metrics),
            _format_interval(configuration.loss),
            "*" if on_front else "",
            ", ".join(map(str, configuration.seeds)),
            configuration.runs[0].name,
        ]
        for configuration, on_front in zip(configurations, mark_front(configurations), strict=True)
    ]
    for model in ("base", "svm"):
        cells = [_format_interval(configurations[0].runs[0].read_estimate(metric, model)) for metric in metrics]
        lines.append([model, "", "", *cells, "", "", "", ""])
    head = ["ratio", "trained", "lr", *titles, "front", "seeds", "experiment (first seed)"]
    return "\n".join(markdown.format_table(head, lines, padded=True))


def _describe_items(metric: Metric, configurations: list[Configuration]) -> str:
    """Return the number of items of a metric in these runs, as ` (n 240)` or ` (n 236-240)`; "" if unknown."""
    counts = sorted(
        {
            n
            for configuration in configurations
            for run in configuration.runs
            if (n := run.count_items(metric)) is not None
        }
    )
    return f" (n {'-'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))})" if counts else ""


def _format_interval(estimate: Row | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate['value']:.3f}" + (
        f" ({estimate['low']:.3f} to {estimate['high']:.3f})" if "low" in estimate else ""
    )


def render_csv(configurations: list[Configuration], limit: float) -> str:
    """Return CSV with one number per column: a row per configuration, followed by a row per run (column `kind`)."""
    axis, chosen = configurations[0].axis, choose_best(configurations, limit)
    metrics, rows = select_metrics(axis), list[Row]()
    for configuration, on_front in zip(configurations, mark_front(configurations), strict=True):
        marks = {"front": int(on_front), "recommended": int(configuration is chosen)}
        head = {
            "kind": "configuration",
            "experiment": "",
            "ratio": configuration.ratio,
            "general_share": configuration.general_share,
        }
        head |= {"lr": configuration.lr, "seed": ""}
        estimates = {metric.name: configuration.estimates.get(metric.name) for metric in metrics}
        columns = _make_metric_columns(metrics, axis, estimates, configuration.loss, configuration.runs[0])
        rows.append({**head, "seeds": len(configuration.runs), **columns, **marks})
        rows += [{**_make_run_row(run, metrics, axis), "front": "", "recommended": ""} for run in configuration.runs]
    return format_csv([*rows[0]], [[row[name] for name in rows[0]] for row in rows])


def _make_run_row(run: Run, metrics: list[Metric], axis: Metric) -> Row:
    settings = run.settings
    share = round(run.budget.general, 4) if run.budget else None
    head = {"kind": "run", "experiment": run.name, "ratio": settings.ratio, "general_share": share}
    head |= {"lr": settings.lr, "seed": settings.seed}
    loss = compute_drop(run.read_change(axis) or {}, axis)
    return {
        **head,
        "seeds": 1,
        **_make_metric_columns(
            metrics, axis, {metric.name: run.read_estimate(metric) for metric in metrics}, loss, run
        ),
    }


def _make_metric_columns(
    metrics: list[Metric], axis: Metric, estimates: dict[str, Row | None], loss: Row, run: Run
) -> Row:
    """Return the columns of each metric (value, ends of the interval, items in `run`), and of the loss (no items)."""
    columns = {get_short_title(metric): estimates[metric.name] or {} for metric in metrics}
    columns[f"{get_short_title(axis)} loss"] = loss
    counts = {get_short_title(metric): {"n": run.count_items(metric)} for metric in metrics}
    ends = (("", "value"), ("_low", "low"), ("_high", "high"), ("_n", "n"))
    return {
        title.lower().replace(" ", "_") + end: ""
        if (value := {**counts.get(title, {}), **estimate}.get(key)) is None
        else value
        for title, estimate in columns.items()
        for end, key in ends
        if title in counts or key != "n"
    }


def write_frontier(max_loss: str = "", axis_name: str = "") -> None:
    """Read the runs; print and write table, notes and recommendation."""
    score, gate = load_sections(Score, Gate)
    axis = find_axis(axis_name)
    limit = choose_limit(max_loss, gate.get_limits().get(axis.name), axis)
    runs, left_out = read_runs(axis)
    configurations = group_runs(runs, axis, select_metrics(axis), score)
    notes = [f"Left out: {line}" for line in left_out]
    if runs:
        missing = describe_missing_seeds(
            configurations, lambda configuration: make_label(configuration, configurations)
        )
        budgets = [run.budget for run in runs if run.budget]
        notes = [
            *describe_intervals(configurations),
            *describe_unequal_budgets(budgets),
            *(f"Missing: {line}" for line in missing),
            *notes,
        ]
    conclusions = [describe_recommendation(configurations, limit, score), *list_caveats(configurations, limit, score)]
    if not runs:
        raise InputError("\n".join([*notes, *conclusions]))
    text = "\n\n".join([render_table(configurations, limit), "\n".join(notes), "\n".join(conclusions)])
    from alloy.comparison.charts import render_svg
    from alloy.sweep.chart import make_frontier_chart

    labels = [make_label(configuration, configurations, rates=False) for configuration in configurations]
    chart = render_svg(
        make_frontier_chart(configurations, labels, choose_best(configurations, limit), limit),
        height=4.4,
        name="frontier",
    )
    for name, content in (("md", f"{text}\n"), ("csv", render_csv(configurations, limit)), ("svg", chart)):
        write_atomically(
            OUT / f"frontier.{name}", lambda file, content=content: file.write_text(content, encoding="utf-8")
        )
    print(f"{text}\n\nfrontier: {OUT}/frontier.svg, .csv, .md")
