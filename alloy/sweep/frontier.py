"""Say which arm to take: all runs of this commit side by side, the Pareto front, and the best within a limit.

Reads   the finished experiments of the current commit, that commit and the workspace, through DVC (alloy/sweep/results.py)
Writes  metrics/frontier/frontier.md, .csv, .svg; git ignores them, since the experiments that they tell of are local
Run     make frontier, make frontier MMLU_DROP=0.05, or python -m alloy.sweep.frontier 0.05

No stage: it compares runs of the pipeline. The limit is the largest loss of general accuracy (MMLU by likelihood)
against base, as a share: what is given, else `gate.mmlu_drop` of params.yaml, else 0.02.
"""

import csv
import io
import sys
from pathlib import Path

from alloy.comparison.costs import unequal
from alloy.core.files import InputError, Row, write_whole
from alloy.core.params import load_params
from alloy.core.stage import run
from alloy.sweep.analyze import best, doubts, label, pareto, recommend
from alloy.sweep.results import Arm, read_arms

LIMIT = 0.02
OUT = Path("metrics/frontier")
FIGURES = (
    ("VOC F1", "voc", "f1"),
    ("MMLU", "mmlu", "acc"),
    ("MMLU generated", "mmlu", "generated_acc"),
    ("IFEval", "ifeval", "prompt_strict"),
)


def rows(arms: list[Arm], limit: float) -> list[Row]:
    """Return a row of the table an arm: its settings, its figures with intervals, its place."""
    chosen = best(arms, limit)
    front = pareto([(arm.acc["value"], arm.f1["value"]) for arm in arms])
    return [
        {
            "experiment": arm.name,
            "ratio": arm.ratio,
            "lr": arm.lr,
            **{title: arm.figure(part, key) for title, part, key in FIGURES},
            "MMLU loss": arm.loss,
            "front": on,
            "recommended": arm is chosen,
        }
        for arm, on in zip(arms, front, strict=True)
    ]


def table(arms: list[Arm], limit: float) -> str:
    """Return the arms as a table in Markdown that is aligned for a terminal; base and rival stand below them."""
    titles = [title for title, *_ in FIGURES]
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
        figures = [_interval(arms[0].figure(part, key, model)) for _, part, key in FIGURES]
        lines.append([model, "", *figures, "", "", ""])
    widths = [max(len(line[place]) for line in [head, *lines]) for place in range(len(head))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [head, ["-" * width for width in widths], *lines]
    )


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
        raise InputError(f"MMLU_DROP: '{given}' where a share from 0 to 1 belongs, as MMLU_DROP=0.05")
    return limit


def conclude(given: str = "") -> None:
    """Read the arms, print table, warnings and recommendation, and write them."""
    params = load_params()
    limit = limit_of(given, params.gate.mmlu_drop)
    arms, left = read_arms()
    said = [f"Left out: {line}" for line in left]
    if arms:
        said = [*unequal([arm.given for arm in arms if arm.given]), *said]
    words = [recommend(arms, limit), *doubts(arms, limit, params.score.resamples, params.seed)]
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


if __name__ == "__main__":
    run(lambda: conclude(*sys.argv[1:2]))
