"""Say which arm to take: all runs of this commit side by side, the Pareto front, and the best within a limit.

Reads   the finished experiments of the current commit, that commit and the workspace, through DVC
(alloy/sweep/results.py) Writes  metrics/frontier/frontier.md, .csv, .svg; git ignores them, since the experiments that
they tell of are local Run     alloy frontier, alloy frontier --mmlu-drop 0.05

No stage: it compares runs of the pipeline. The limit is the largest loss of general accuracy (MMLU by likelihood)
against base, as a share: what is given, else `gate.mmlu.acc` of params.yaml, else 0.02.
"""

import csv
import io
from pathlib import Path

from alloy.comparison.costs import unequal
from alloy.comparison.metrics import METRICS
from alloy.comparison.settings import Gate
from alloy.core import markdown
from alloy.core.files import InputError, Row, write_whole
from alloy.core.settings import load_sections, load_seed
from alloy.scoring.settings import Score
from alloy.sweep.analyze import best, doubts, label, pareto, recommend
from alloy.sweep.results import Arm, read_arms

LIMIT = 0.02
OUT = Path("metrics/frontier")
AXES = [metric for metric in METRICS if metric.short]  # the columns of the table


def rows(arms: list[Arm], limit: float) -> list[Row]:
    """Return a row of the table an arm: its settings, its figures with intervals, its place."""
    chosen = best(arms, limit)
    front = pareto([(arm.acc["value"], arm.f1["value"]) for arm in arms])
    return [
        {
            "experiment": arm.name,
            "ratio": arm.ratio,
            "lr": arm.lr,
            **{metric.short: arm.figure(metric.part, metric.key) for metric in AXES},
            "MMLU loss": arm.loss,
            "front": on,
            "recommended": arm is chosen,
        }
        for arm, on in zip(arms, front, strict=True)
    ]


def table(arms: list[Arm], limit: float) -> str:
    """Return the arms as a table in Markdown that is aligned for a terminal; base and rival stand below them."""
    titles = [metric.short for metric in AXES]
    head = ["ratio", "lr", *titles, "MMLU loss", "front", "experiment"]
    lines = [
        [
            f"{'> ' if row['recommended'] else ''}{row['ratio']:g}",
            f"{row['lr']:g}",
            *(_interval(row[title]) for title in (*titles, "MMLU loss")),
            "*" if row["front"] else "",
            row["experiment"],
        ]
        for row in rows(arms, limit)
    ]
    for model in ("base", "svm"):
        figures = [
            _interval(arms[0].figure(part, key, model)) for part, key in ((metric.part, metric.key) for metric in AXES)
        ]
        lines.append([model, "", *figures, "", "", ""])
    return "\n".join(markdown.table(head, lines, padded=True))


def _interval(figure: Row | None) -> str:
    if figure is None:
        return "-"
    return f"{figure['value']:.3f}" + (f" ({figure['low']:.3f} to {figure['high']:.3f})" if "low" in figure else "")


def as_csv(arms: list[Arm], limit: float) -> str:
    """Return the same as CSV, a number a column."""
    flat = []
    for row in rows(arms, limit):
        figures = {key: value for key, value in row.items() if value is None or isinstance(value, dict)}
        plain = {key: int(value) if isinstance(value, bool) else value for key, value in row.items()}
        for key in figures:
            name = key.lower().replace(" ", "_")
            plain.pop(key)
            plain |= {
                f"{name}{end}": (figures[key] or {}).get(side, "")
                for end, side in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
        flat.append(plain)
    out = io.StringIO()
    writer = csv.DictWriter(out, flat[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def limit_of(given: str, gate: float | None) -> float:
    """Return the largest loss that is allowed: the one given, else the gate's, else `LIMIT`."""
    if not given:
        return LIMIT if gate is None else gate
    try:
        limit = float(given)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 1:
        raise InputError(f"--mmlu-drop: expected a number from 0 to 1, got '{given}'")
    return limit


def conclude(given: str = "") -> None:
    """Read the arms, print table, warnings and recommendation, and write them."""
    score, gate = load_sections(Score, Gate)
    limit = limit_of(given, gate.limits().get("mmlu.acc"))
    arms, left = read_arms()
    said = [f"Left out: {line}" for line in left]
    if arms:
        said = [*unequal([arm.given for arm in arms if arm.given]), *said]
    words = [recommend(arms, limit), *doubts(arms, limit, score.resamples, load_seed())]
    if not arms:
        raise InputError("\n".join([*said, *words]))
    text = "\n\n".join([table(arms, limit), *(["\n".join(said)] if said else []), "\n".join(words)])
    from alloy.comparison.charts import svg
    from alloy.sweep.chart import front

    chart = svg(
        front(arms, [label(arm, arms, rates=False) for arm in arms], best(arms, limit), limit),
        height=4.4,
        name="frontier",
    )
    for name, content in (("md", f"{text}\n"), ("csv", as_csv(arms, limit)), ("svg", chart)):
        write_whole(OUT / f"frontier.{name}", lambda part, content=content: part.write_text(content, encoding="utf-8"))
    print(f"{text}\n\nfrontier: {OUT}/frontier.svg, .csv, .md")
