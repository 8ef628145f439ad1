"""Say in Markdown what one commit changed against another: params, and figures in an order that is always the same.

Reads   params and metrics of both commits, as `dvc params diff` and `dvc metrics diff` have them
Run     alloy review <base> [<head>]; without <head>, what is in the folder now

Of <base> it takes the commit where <head> left it.

The figures are those that were committed: nothing is run. `make lock` says whether they belong to the code.
"""

import html
import json
import subprocess
from dataclasses import dataclass

from alloy.comparison.metrics import ANSWERS, BY_NAME, COUNT, METRICS, MODELS, TASKS
from alloy.comparison.seeds import ONE_SEED_EACH
from alloy.core.files import InputError, Row
from alloy.core.git import run_git
from alloy.core.markdown import escape_markdown, format_code, format_table
from alloy.scoring.bootstrap import MIN_ITEMS

Items = dict[str, tuple[int | None, ...]]  # of metrics, before and after
Value = float | int | str | bool | list | None
SUMMARY_FILE = "metrics/summary.json"
COUNTS = {metric.n or COUNT for metric in METRICS}
ORDER = [
    f"{model}.{metric.name}" for model in sorted(MODELS, key="tuned".__ne__) for metric in METRICS if metric.headline
]


@dataclass(frozen=True)
class Change:
    """A param or a figure, by its name in `file`, before and after; None where it was not there."""

    file: str
    name: str
    old: Value
    new: Value

    @property
    def step(self) -> float | None:
        """By how much it changed; None where it is no number, or was not there."""
        if isinstance(self.old, bool | str | list | None) or isinstance(self.new, bool | str | list | None):
            return None
        return self.new - self.old


def changes(diff: dict[str, dict[str, Row]]) -> list[Change]:
    """Return what is in the JSON of `dvc params diff` or `dvc metrics diff`: headline figures first, then by name."""
    found = [
        Change(file, name, entry.get("old"), entry.get("new"))
        for file, names in diff.items()
        for name, entry in names.items()
    ]

    def place(change: Change) -> tuple[int, int, str, str]:
        headline = change.file == SUMMARY_FILE
        rank = ORDER.index(change.name) if change.name in ORDER else len(ORDER)
        return (not headline, rank if headline else 0, change.file, change.name)

    return sorted((change for change in found if change.old != change.new), key=place)


def items(diff: dict[str, dict[str, Row]]) -> Items:
    """Return how many items each headline metric is measured on, before and after, of all metrics of both commits."""
    summary = diff.get(SUMMARY_FILE, {})
    found: Items = {}
    for name in summary:
        model, _, own = name.partition(".")
        metric = BY_NAME.get(own)
        if metric:
            place = f"{model}.{metric.part or ANSWERS}.{metric.n or COUNT}"
        else:  # a task of lm-eval
            place = f"{model}.{TASKS}{COUNT}.{own.removeprefix(TASKS)}"
        entry = summary.get(place, {})
        if place != name and entry:
            found[name] = (entry.get("old"), entry.get("new"))
    return found


def counted(name: str, counts: Items) -> str:
    """Return the items of a metric for a cell: 240, or 236 → 240 if they differ."""
    known = [str(count) for count in dict.fromkeys(counts.get(name, ())) if count is not None]
    return " → ".join(known) or "-"


def is_count(name: str) -> bool:
    """Return whether a metric is a number of items; the table shows it in the column `n` of the other metrics."""
    return name.rpartition(".")[2] in COUNTS or f".{TASKS}{COUNT}." in name


def too_few(name: str, counts: Items) -> bool:
    """Return whether a metric has too few items to say what changed."""
    return any(count is not None and count < MIN_ITEMS for count in counts.get(name, ()))


def render(params: list[Change], figures: list[Change], base: str, head: str, counts: Items | None = None) -> str:
    """Return the page: a sentence, the params, the headline figures, and all others folded away."""
    counts = counts or {}
    parts = ["## What this changes", sentence(params, figures, counts)]
    if params:
        rows = [(format_code(change.name), setting(change.old), setting(change.new)) for change in params]
        parts.append(_table(("param", base, head), rows))
    headline = [change for change in figures if change.file == SUMMARY_FILE and not is_count(change.name)]
    if headline:
        rows = [
            (titled(c.name), counted(c.name, counts), figure(c.old), figure(c.new), signed(c.step)) for c in headline
        ]
        parts.append(_table(("metric", "n", base, head, "change"), rows))
    if others := [change for change in figures if change not in headline]:
        rows = [
            (f"{format_code(c.file)} {format_code(c.name)}", figure(c.old), figure(c.new), signed(c.step))
            for c in others
        ]
        summary = "<details><summary>Other figures, the time that things took among them</summary>"
        parts += [summary, _table(("metric", base, head, "change"), rows), "</details>"]
    return "\n\n".join(parts)


def sentence(params: list[Change], figures: list[Change], counts: Items | None = None) -> str:
    """Say what changed, what the tuned model gained by it and what it cost, and what of it may be luck.

    A metric with too few items is not called gained or lost.
    """
    counts = counts or {}
    if not params and not figures:
        return "No param and no figure changed."
    told = [f"{format_code(change.name)} from {setting(change.old)} to {setting(change.new)}" for change in params]
    said = (
        f"Changed: {'; '.join(told[:3])}{f' and {len(told) - 3} more' if told[3:] else ''}."
        if told
        else "No param changed."
    )
    if not figures:
        return f"{said} No figure did."
    by_name = {change.name: change for change in figures if change.file == SUMMARY_FILE}
    moved = [
        (by_name[name], 1 if metric.higher_is_better else -1)
        for metric in METRICS
        if metric.short and (name := f"tuned.{metric.name}") in by_name and not too_few(name, counts)
    ]
    few = [title(name) for name in by_name if name.startswith("tuned.") and too_few(name, counts)]
    for word, sign in (("Gained", 1), ("Cost", -1)):
        shown = [
            f"{title(change.name)} {change.step:+.3f} ({change.old:.3f} to {change.new:.3f})"
            for change, better in moved
            if change.step and change.step * better * sign > 0
        ]
        said += f" {word}: {'; '.join(shown) or 'nothing'}."
    if few:
        said += f" Too few items to tell (fewer than {MIN_ITEMS}): {'; '.join(few)}."
    trained_again = any(name.startswith("tuned.") for name in by_name)
    return f"{said} {ONE_SEED_EACH}" if trained_again else said


def _better(name: str) -> int:
    """Return 1 for a metric that is better when it rises, -1 for one that is better when it falls."""
    return 1 if BY_NAME[name.partition(".")[2]].higher_is_better else -1


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(format_table([html.escape(cell, quote=False) for cell in head], rows, right=True))


def titled(name: str) -> str:
    """Return a headline figure's title with its model, or its name where it has no title."""
    return f"{name.split('.')[0]}: {title(name)}"


def title(name: str) -> str:
    """Return what a headline figure is called in the comparison, or its name without its model."""
    own = name.partition(".")[2]
    return BY_NAME[own].title if own in BY_NAME else format_code(own.partition(".")[2])


def setting(value: Value) -> str:
    """Return a param's value as YAML has it."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "true", False: "false"}[value]
    return escaped(str(value))


def figure(value: Value) -> str:
    """Return a figure for a cell: whole numbers whole, shares with three places, others with four digits."""
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) <= 1 or value == 0 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else setting(value)


def signed(step: float | None) -> str:
    """Return a change with its sign, as precisely as figures are shown."""
    return f"{'+' if step and step > 0 else ''}{figure(step)}"


def escaped(words: str) -> str:
    """Return `words` so that they are no markup in a table's cell."""
    return escape_markdown(words)


def ask(what: str, revisions: list[str]) -> dict[str, dict[str, Row]]:
    """Return the JSON of `dvc <what> diff` between revisions."""
    asked = subprocess.run(["dvc", what, "diff", "--json", *revisions], text=True, capture_output=True, check=False)
    if asked.returncode:
        raise InputError(asked.stderr.strip().removeprefix("ERROR: "))
    return json.loads(asked.stdout or "{}")


def main(base: str, head: str) -> None:
    """Ask DVC for both differences, print the page."""
    for name, revision in (("base", base), ("head", head or "HEAD")):
        if not revision.strip() or revision.startswith("-"):  # git would take it for an option
            raise InputError(f"{name}: expected a branch, tag or commit, got '{revision}'")
    try:
        left = run_git("merge-base", base, head or "HEAD").strip()
    except InputError as fault:
        raise InputError(f"{fault}; name branches, tags or commits") from None
    revisions = [left, *([head] if head else [])]
    params, metrics = ask("params", revisions), ask("metrics", ["--all", *revisions])
    print(render(changes(params), changes(metrics), "before", "after", items(metrics)))
