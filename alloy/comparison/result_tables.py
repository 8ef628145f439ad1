"""The tables of a comparison as text: the metrics of all models, and what each model cost.

The stage `compare` prints them, and so does `alloy report`.
"""

from alloy.comparison.costs import amount
from alloy.comparison.metrics import MODELS
from alloy.comparison.verdict import enough, p_value
from alloy.core.files import Row


def render_table(lines: list[Row]) -> str:
    """Return one line per metric: items, base, tuned, the change with its interval and p, the SVM; "-" if unknown."""
    text = [f"{'':38}{'n':>7}{'base':>8}{'tuned':>8}{'change':>9}{'95 % interval':>18}{'p':>7}{'svm':>8}"]
    for line in lines:
        base, tuned, svm = (_format_cell(line["models"].get(model, {}).get("value"), "8.3f") for model in MODELS)
        change = line["change"] or {}
        no_interval = "too few items" if change and not enough(line) else "-"
        interval = f"{change['low']:+.3f} to {change['high']:+.3f}" if "low" in change else no_interval
        p = p_value(change.get("p")) or "-"
        start = f"{line['title']:38}{_format_cell(line['n'], '7,d')}{base}{tuned}"
        text.append(f"{start}{_format_cell(change.get('value'), '+9.3f')}{interval:>18}{p:>7}{svm}")
    return "\n".join(text)


def render_cost_table(lines: list[Row]) -> str:
    """Return one line per kind of cost, in the columns of `render_table`."""
    text = []
    for line in lines:
        costs = line["models"]
        base, tuned, svm = (f" {amount(costs[model]) if model in costs else '-':>7}" for model in MODELS)
        text.append(f"{line['title']:38}{'':7}{base}{tuned}{'':34}{svm}")
    return "\n".join(text)


def _format_cell(value: float | None, form: str) -> str:
    width = int(form.lstrip("+").split(".")[0].rstrip(",d"))
    return f"{'-':>{width}}" if value is None else f"{value:{form}}"
