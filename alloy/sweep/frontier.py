"""Say which configuration to take: those of this commit's runs side by side, the Pareto front, the best in a limit.

Reads   the finished experiments of the current commit, that commit and the workspace, through DVC
        (alloy/sweep/results.py)
Writes  metrics/frontier/frontier.md, .csv, .svg; git ignores them, since the experiments that they tell of are local
Run     alloy frontier, alloy frontier --max-loss 0.05, alloy frontier --axis ifeval.prompt_strict

No stage: it compares runs of the pipeline. Runs that differ in their seed alone are one configuration: means, with
intervals over seeds and test items (alloy/scoring/seeds.py). The limit is the largest loss of general ability against
base: what is given, else the gate's of that metric, else 0.02.
"""

from pathlib import Path

from alloy.comparison.costs import unequal
from alloy.comparison.metrics import METRICS, Metric
from alloy.comparison.settings import Gate
from alloy.core import markdown
from alloy.core.files import InputError, Row, write_whole
from alloy.core.settings import load_sections
from alloy.core.tables import csv_text
from alloy.scoring.settings import Score
from alloy.sweep.analyze import best, doubts, front_of, label, recommend, seeds_note
from alloy.sweep.axis import find_axis, limit_of, short_title, worsening
from alloy.sweep.configurations import Configuration, group_runs, missing_seeds
from alloy.sweep.results import Run, read_runs

OUT = Path("metrics/frontier")


def shown(axis: Metric) -> list[Metric]:
    """Return the metrics that are columns: those that tell the trade-off, and the axis."""
    metrics = [metric for metric in METRICS if metric.short]
    return metrics if axis.name in {metric.name for metric in metrics} else [*metrics, axis]


def table(configurations: list[Configuration], limit: float) -> str:
    """Return the configurations as a Markdown table that is aligned for a terminal, with base and SVM below them.

    `ratio` is the share of general data that was asked for, `trained` the one that training saw.
    """
    axis = configurations[0].axis
    metrics, chosen = shown(axis), best(configurations, limit)
    titles = [
        *(f"{short_title(metric)}{_items(metric, configurations)}" for metric in metrics),
        f"{short_title(axis)} loss",
    ]
    lines = [
        [
            f"{'> ' if one is chosen else ''}{one.ratio:g}",
            "-" if one.general_share is None else f"{one.general_share:.3f}",
            f"{one.lr:g}",
            *(_interval(one.figures.get(metric.name)) for metric in metrics),
            _interval(one.loss),
            "*" if on else "",
            ", ".join(map(str, one.seeds)),
            one.runs[0].name,
        ]
        for one, on in zip(configurations, front_of(configurations), strict=True)
    ]
    for model in ("base", "svm"):
        figures = [_interval(configurations[0].runs[0].figure(metric, model)) for metric in metrics]
        lines.append([model, "", "", *figures, "", "", "", ""])
    head = ["ratio", "trained", "lr", *titles, "front", "seeds", "experiment (first seed)"]
    return "\n".join(markdown.format_table(head, lines, padded=True))


def _items(metric: Metric, configurations: list[Configuration]) -> str:
    """Return on how many items a metric is measured in these runs, as ` (n 240)` or ` (n 236-240)`; "" if not known."""
    found = sorted({n for one in configurations for run in one.runs if (n := run.items(metric)) is not None})
    return f" (n {'-'.join(map(str, dict.fromkeys((found[0], found[-1]))))})" if found else ""


def _interval(figure: Row | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['value']:.3f}" + (f" ({figure['low']:.3f} to {figure['high']:.3f})" if "low" in figure else "")


def as_csv(configurations: list[Configuration], limit: float) -> str:
    """Return configurations, and below each its runs, as CSV with one number per column; `kind` says which it is."""
    axis, chosen = configurations[0].axis, best(configurations, limit)
    metrics, rows = shown(axis), list[Row]()
    for one, on in zip(configurations, front_of(configurations), strict=True):
        place = {"front": int(on), "recommended": int(one is chosen)}
        head = {"kind": "configuration", "experiment": "", "ratio": one.ratio, "general_share": one.general_share}
        head |= {"lr": one.lr, "seed": ""}
        figures = {metric.name: one.figures.get(metric.name) for metric in metrics}
        shown_figures = _columns(metrics, axis, figures, one.loss, one.runs[0])
        rows.append({**head, "seeds": len(one.runs), **shown_figures, **place})
        rows += [{**_run_row(run, metrics, axis), "front": "", "recommended": ""} for run in one.runs]
    return csv_text([*rows[0]], [[row[name] for name in rows[0]] for row in rows])


def _run_row(run: Run, metrics: list[Metric], axis: Metric) -> Row:
    settings = run.settings
    share = round(run.given.general, 4) if run.given else None
    head = {"kind": "run", "experiment": run.name, "ratio": settings.ratio, "general_share": share}
    head |= {"lr": settings.lr, "seed": settings.seed}
    loss = worsening(run.change(axis) or {}, axis)
    return {**head, "seeds": 1, **_columns(metrics, axis, {one.name: run.figure(one) for one in metrics}, loss, run)}


def _columns(metrics: list[Metric], axis: Metric, figures: dict[str, Row | None], loss: Row, run: Run) -> Row:
    """Return four columns per metric, three for the loss: the value, the ends of its interval, its items in `run`."""
    columns = {short_title(metric): figures[metric.name] or {} for metric in metrics}
    columns[f"{short_title(axis)} loss"] = loss
    counts = {short_title(metric): {"n": run.items(metric)} for metric in metrics}
    ends = (("", "value"), ("_low", "low"), ("_high", "high"), ("_n", "n"))
    return {
        title.lower().replace(" ", "_") + end: ""
        if (found := {**counts.get(title, {}), **figure}.get(key)) is None
        else found
        for title, figure in columns.items()
        for end, key in ends
        if title in counts or key != "n"
    }


def conclude(given: str = "", axis_name: str = "") -> None:
    """Read the runs, print table, warnings and recommendation, and write them."""
    score, gate = load_sections(Score, Gate)
    axis = find_axis(axis_name)
    limit = limit_of(given, gate.limits().get(axis.name), axis)
    runs, left = read_runs(axis)
    configurations = group_runs(runs, axis, shown(axis), score)
    said = [f"Left out: {line}" for line in left]
    if runs:
        missing = missing_seeds(configurations, lambda one: label(one, configurations))
        budgets = [run.given for run in runs if run.given]
        said = [*seeds_note(configurations), *unequal(budgets), *(f"Missing: {line}" for line in missing), *said]
    words = [recommend(configurations, limit, score), *doubts(configurations, limit, score)]
    if not runs:
        raise InputError("\n".join([*said, *words]))
    text = "\n\n".join([table(configurations, limit), "\n".join(said), "\n".join(words)])
    from alloy.comparison.charts import svg
    from alloy.sweep.chart import front

    labels = [label(one, configurations, rates=False) for one in configurations]
    chart = svg(front(configurations, labels, best(configurations, limit), limit), height=4.4, name="frontier")
    for name, content in (("md", f"{text}\n"), ("csv", as_csv(configurations, limit)), ("svg", chart)):
        write_whole(OUT / f"frontier.{name}", lambda part, content=content: part.write_text(content, encoding="utf-8"))
    print(f"{text}\n\nfrontier: {OUT}/frontier.svg, .csv, .md")
