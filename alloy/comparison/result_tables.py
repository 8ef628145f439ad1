"""The tables of a comparison as text: the metrics of all models, and what each model cost.

The stage `compare` prints them, and so does `alloy report`.
"""

from alloy.comparison.costs import format_amount
from alloy.comparison.metrics import MODELS
from alloy.comparison.verdict import format_p, has_enough_items
from alloy.core.files import Row


def render_table(lines: list[Row]) -> str:
    """Return a table with one line per metric: items, base, tuned, change with interval and p, SVM; "-" if unknown."""
    text = [f"{'':38}{'n':>7}{'base':>8}{'tuned':>8}{'change':>9}{'95 % interval':>18}{'p':>7}{'svm':>8}"]
    for line in lines:
        base, tuned, svm = (_format_cell(line["models"].get(model, {}).get("value"), "8.3f") for model in MODELS)
        change = line["change"] or {}
        missing_interval = "too few items" if change and not has_enough_items(line) else "-"
        interval = f"{change['low']:+.3f} to {change['high']:+.3f}" if "low" in change else missing_interval
        p = format_p(change.get("p")) or "-"
        title_and_items = f"{line['title']:38}{_format_cell(line['n'], '7,d')}{base}{tuned}"
        text.append(f"{title_and_items}{_format_cell(change.get('value'), '+9.3f')}{interval:>18}{p:>7}{svm}")
    return "\n".join(text)


def render_cost_table(lines: list[Row]) -> str:
    """Return a table with one line per kind of cost, in the columns of `render_table`."""
    text = []
    for line in lines:
        amounts = line["models"]
        base, tuned, svm = (f" {format_amount(amounts[model]) if model in amounts else '-':>7}" for model in MODELS)
        text.append(f"{line['title']:38}{'':7}{base}{tuned}{'':34}{svm}")
    return "\n".join(text)


def _format_cell(value: float | None, format_spec: str) -> str:
    width = int(format_spec.lstrip("+").split(".")[0].rstrip(",d"))
    return f"{'-':>{width}}" if value is None else f"{value:{format_spec}}"
