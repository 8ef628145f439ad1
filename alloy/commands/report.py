"""Show the results of the last run: the comparison, the verdict, and the path of the report.

Reads   metrics/compare.json, the costs in metrics/*.json, dvc.lock
Writes  metrics/report.html: DVC writes it if it is missing or out of date; no model is trained
Run     alloy report [--open]
"""

import subprocess
import sys
import webbrowser
from pathlib import Path

from alloy.comparison.costs import read_costs
from alloy.comparison.result_tables import render_cost_table, render_table
from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import Finding, Outcome, render_findings
from alloy.core.dvc_outputs import LOCK, is_as_recorded
from alloy.core.files import InputError, Row, read_json, require_file
from alloy.core.yaml_text import read_yaml

COMPARISON, REPORT = Path("metrics/compare.json"), Path("metrics/report.html")
# With --single-item, DVC runs only this stage, with the existing metrics.
WRITE_REPORT = ["dvc", "repro", "--quiet", "--single-item", "report"]


def format_results(compared: Row, costs: list[Row]) -> str:
    """Return the tables and the verdict of metrics/compare.json as text, as the stage `compare` prints them."""
    try:
        findings = [Finding(row["topic"], Outcome(row["outcome"]), row["text"]) for row in compared["verdict"]]
        text = "\n".join([render_findings(findings), *([ONE_SEED] if findings else [])])
        return "\n\n".join([render_table(compared["measures"]), render_cost_table(costs), text])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{COMPARISON}: not a valid comparison; run `dvc repro --force compare`") from None


def is_current(stage: Row) -> bool:
    """Return whether the report and its inputs match the entry of the stage in dvc.lock."""
    entries = [entry for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    results = {Path(entry["path"]): entry for entry in entries if entry["path"].startswith(("metrics/", "data/"))}
    return REPORT in results and all(is_as_recorded(path, entry) for path, entry in results.items())


def update_report() -> None:
    """Let DVC write the report if it is missing or out of date."""
    stages = (read_yaml(LOCK) or {}).get("stages", {}) if LOCK.is_file() else {}
    if is_current(stages.get("report", {})):
        return
    print(f"report: {REPORT} is missing or out of date; DVC writes it", file=sys.stderr, flush=True)
    if subprocess.run(WRITE_REPORT, stdout=sys.stderr.fileno(), check=False).returncode:
        raise InputError(f"{REPORT}: DVC could not write it (see above); run `dvc repro report`")


def open_in_browser(page: Path) -> None:
    """Open a page in the user's browser."""
    if not webbrowser.open(page.resolve().as_uri()):
        print(f"report: no browser found; open {page} in a browser", file=sys.stderr)


def main(*, browse: bool) -> None:
    """Print the results, then the path of the report; open it if `browse` is set."""
    require_file(COMPARISON, "run `dvc repro` to get results, or `dvc pull` if they were shared")
    print(format_results(read_json(COMPARISON), read_costs()), end="\n\n", flush=True)
    update_report()
    print(f"report: {REPORT}", flush=True)
    if browse:
        open_in_browser(REPORT)
