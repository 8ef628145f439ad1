"""Print in Markdown what changed between two commits: params, then metrics, always in the same order.

Reads   params and metrics of both commits, from `dvc params diff` and `dvc metrics diff`
Run     alloy review <base> [<head>]; without <head>, the files in this folder

<head> is compared with its merge base with <base>. Nothing is run: the metrics are the committed ones. `make lock`
checks that they belong to the code.
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

Counts = dict[str, tuple[int | None, ...]]  # number of items by metric, before and after
Value = float | int | str | bool | list | None
SUMMARY_FILE = "metrics/summary.json"
COUNTS = {metric.count_key or COUNT for metric in METRICS}
ORDER = [
    f"{model}.{metric.name}" for model in sorted(MODELS, key="tuned".__ne__) for metric in METRICS if metric.headline
]


@dataclass(frozen=True)
class Change:
    """A param or a metric in `file`, before and after; None if it was not there."""

    file: str
    name: str
    old: Value
    new: Value

    @property
    def difference(self) -> float | None:
        """The new value minus the old one; None if one of them is not a number, or was not there."""
        if isinstance(self.old, bool | str | list | None) or isinstance(self.new, bool | str | list | None):
            return None
        return self.new - self.old


def list_changes(diff: dict[str, dict[str, Row]]) -> list[Change]:
    """Return the changes in the JSON of `dvc params diff` or `dvc metrics diff`, headline metrics first."""
    changes = [
        Change(file, name, entry.get("old"), entry.get("new"))
        for file, names in diff.items()
        for name, entry in names.items()
    ]

    def sort_key(change: Change) -> tuple[int, int, str, str]:
        headline = change.file == SUMMARY_FILE
        rank = ORDER.index(change.name) if change.name in ORDER else len(ORDER)
        return (not headline, rank if headline else 0, change.file, change.name)

    return sorted((change for change in changes if change.old != change.new), key=sort_key)


def find_counts(diff: dict[str, dict[str, Row]]) -> Counts:
    """Return the number of items of each headline metric; `diff` has all metrics of both commits."""
    summary = diff.get(SUMMARY_FILE, {})
    counts: Counts = {}
    for name in summary:
        model, _, metric_name = name.partition(".")
        metric = BY_NAME.get(metric_name)
        if metric:
            count_name = f"{model}.{metric.part or ANSWERS}.{metric.count_key or COUNT}"
        else:  # a task of lm-eval
            count_name = f"{model}.{TASKS}{COUNT}.{metric_name.removeprefix(TASKS)}"
        entry = summary.get(count_name, {})
        if count_name != name and entry:
            counts[name] = (entry.get("old"), entry.get("new"))
    return counts


def format_count(name: str, counts: Counts) -> str:
    """Return the number of items of a metric for a cell: 240, or 236 → 240 if it changed."""
    known = [str(count) for count in dict.fromkeys(counts.get(name, ())) if count is not None]
    return " → ".join(known) or "-"


def is_count(name: str) -> bool:
    """Return whether a metric is a number of items, which the table shows in the column `n` of other metrics."""
    return name.rpartition(".")[2] in COUNTS or f".{TASKS}{COUNT}." in name


def has_too_few_items(name: str, counts: Counts) -> bool:
    """Return whether a metric has too few items to tell what changed."""
    return any(count is not None and count < MIN_ITEMS for count in counts.get(name, ()))


def render_page(params: list[Change], metrics: list[Change], base: str, head: str, counts: Counts | None = None) -> str:
    """Return the page in Markdown: a summary, the params, the headline metrics, and all other metrics, collapsed."""
    counts = counts or {}
    parts = ["## What this changes", summarize_changes(params, metrics, counts)]
    if params:
        rows = [(format_code(change.name), format_setting(change.old), format_setting(change.new)) for change in params]
        parts.append(_format_table(("param", base, head), rows))
    headline = [change for change in metrics if change.file == SUMMARY_FILE and not is_count(change.name)]
    if headline:
        rows = [
            (
                format_title_with_model(c.name),
                format_count(c.name, counts),
                format_metric(c.old),
                format_metric(c.new),
                format_difference(c.difference),
            )
            for c in headline
        ]
        parts.append(_format_table(("metric", "n", base, head, "change"), rows))
    if others := [change for change in metrics if change not in headline]:
        rows = [
            (
                f"{format_code(c.file)} {format_code(c.name)}",
                format_metric(c.old),
                format_metric(c.new),
                format_difference(c.difference),
            )
            for c in others
        ]
        summary = "<details><summary>Other metrics, such as times</summary>"
        parts += [summary, _format_table(("metric", base, head, "change"), rows), "</details>"]
    return "\n\n".join(parts)


def summarize_changes(params: list[Change], metrics: list[Change], counts: Counts | None = None) -> str:
    """Return what changed, which metrics of the tuned model got better or worse, and a warning.

    The warning says that the variation between seeds is not included. A metric with too few items counts as
    neither better nor worse.
    """
    counts = counts or {}
    if not params and not metrics:
        return "No param and no metric changed."
    edits = [
        f"{format_code(change.name)} from {format_setting(change.old)} to {format_setting(change.new)}"
        for change in params
    ]
    text = (
        f"Changed: {'; '.join(edits[:3])}{f' and {len(edits) - 3} more' if edits[3:] else ''}."
        if edits
        else "No param changed."
    )
    if not metrics:
        return f"{text} No metric changed."
    by_name = {change.name: change for change in metrics if change.file == SUMMARY_FILE}
    changed = [
        (by_name[name], 1 if metric.higher_is_better else -1)
        for metric in METRICS
        if metric.short and (name := f"tuned.{metric.name}") in by_name and not has_too_few_items(name, counts)
    ]
    few = [find_title(name) for name in by_name if name.startswith("tuned.") and has_too_few_items(name, counts)]
    for word, sign in (("Better", 1), ("Worse", -1)):
        shown = [
            f"{find_title(change.name)} {change.difference:+.3f} ({change.old:.3f} to {change.new:.3f})"
            for change, better in changed
            if change.difference and change.difference * better * sign > 0
        ]
        text += f" {word}: {'; '.join(shown) or 'nothing'}."
    if few:
        text += f" Too few items to tell (fewer than {MIN_ITEMS}): {'; '.join(few)}."
    trained_again = any(name.startswith("tuned.") for name in by_name)
    return f"{text} {ONE_SEED_EACH}" if trained_again else text


def _format_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(format_table([html.escape(cell, quote=False) for cell in head], rows, right=True))


def format_title_with_model(name: str) -> str:
    """Return the model and the title of a headline metric, as in `tuned: VOC F1`."""
    return f"{name.split('.')[0]}: {find_title(name)}"


def find_title(name: str) -> str:
    """Return the title of a headline metric in the comparison; for a task of lm-eval, the name of the task."""
    metric_name = name.partition(".")[2]
    return BY_NAME[metric_name].title if metric_name in BY_NAME else format_code(metric_name.partition(".")[2])


def format_setting(value: Value) -> str:
    """Return the value of a param as in YAML, escaped for a table in Markdown."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "true", False: "false"}[value]
    return escape_markdown(str(value))


def format_metric(value: Value) -> str:
    """Return a metric for a cell: integers as they are, shares with three decimals, others with four digits."""
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) <= 1 or value == 0 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else format_setting(value)


def format_difference(difference: float | None) -> str:
    """Return a difference with its sign, as precisely as metrics are shown."""
    return f"{'+' if difference and difference > 0 else ''}{format_metric(difference)}"


def run_dvc_diff(kind: str, revisions: list[str]) -> dict[str, dict[str, Row]]:
    """Return the JSON of `dvc <kind> diff` between revisions; `kind` is params or metrics."""
    done = subprocess.run(["dvc", kind, "diff", "--json", *revisions], text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(done.stderr.strip().removeprefix("ERROR: "))
    return json.loads(done.stdout or "{}")


def main(base: str, head: str) -> None:
    """Print the differences between two commits in Markdown."""
    for name, revision in (("base", base), ("head", head or "HEAD")):
        if not revision.strip() or revision.startswith("-"):  # git would read it as an option
            raise InputError(f"{name}: expected a branch, tag or commit, got '{revision}'")
    try:
        merge_base = run_git("merge-base", base, head or "HEAD").strip()
    except InputError as error:
        raise InputError(f"{error}; expected branches, tags or commits") from None
    revisions = [merge_base, *([head] if head else [])]
    params, metrics = run_dvc_diff("params", revisions), run_dvc_diff("metrics", ["--all", *revisions])
    print(render_page(list_changes(params), list_changes(metrics), "before", "after", find_counts(metrics)))
