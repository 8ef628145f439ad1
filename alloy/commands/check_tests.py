"""Say before training which tests can show that this base model forgets.

Reads   metrics/mmlu/base.json, base.jsonl; metrics/ifeval/base.json, base.jsonl
Run     dvc repro mmlu@base ifeval@base, then alloy check tests

It ends with exit status 1 if no test can.
"""

import json
import subprocess
from pathlib import Path

from alloy.comparison.compare import Rows, compare_models
from alloy.comparison.formulation import FORMULATIONS, add_headline
from alloy.comparison.informative import Sensitivity, explain_insensitivity, find_most_sensitive, list_sensitivities
from alloy.core.files import InputError, Row, read_jsonl
from alloy.core.metrics_file import read_metrics
from alloy.scoring.settings import Score

STAGES = ("mmlu", "ifeval")
MEASURE = f"dvc repro {' '.join(f'{stage}@base' for stage in STAGES)}"


def is_measured() -> bool:
    """Say whether base has taken the tests."""
    return all(Path(f"metrics/{stage}/base.json").is_file() for stage in STAGES)


def read_base() -> tuple[Row, dict[str, Rows]]:
    """Return base's metrics and rows by part; a file that is missing raises."""
    figures: Row = {}
    rows: dict[str, Rows] = {}
    for stage in STAGES:
        paths = Path(f"metrics/{stage}/base.json"), Path(f"metrics/{stage}/base.jsonl")
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: no such file; run `{MEASURE}`")
        own = read_metrics(paths[0], "base")
        if own.get(stage):
            figures[stage], rows[stage] = own[stage], read_jsonl(paths[1])
    return figures, rows


def warn_if_stale() -> list[str]:
    """Return a line if DVC finds that base's metrics are not those of today's settings; none if DVC cannot tell."""
    command = ["dvc", "status", "--json", *(f"{stage}@base" for stage in STAGES)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode or not json.loads(done.stdout or "{}"):
        return []
    return [f"Warning: these metrics are not of today's model and settings; run `{MEASURE}`"]


def table(tests: list[Sensitivity]) -> str:
    """Return a line per test: base's value, its interval, the chance level, and whether it can show forgetting."""
    lines = [f"{'':52}{'n':>6}{'base':>8}{'95 % interval':>18}{'chance':>8}  shows forgetting"]
    for test in tests:
        interval = "-" if test.low is None else f"{test.low:.3f} to {test.high:.3f}"
        answer = "yes" if test.can_show_loss else "no"
        lines.append(f"{test.title:52}{test.n:6}{test.value:8.3f}{interval:>18}{test.chance:8.3f}  {answer}")
    return "\n".join(lines)


def main() -> None:
    """Read, judge, print; fail if no test can show anything."""
    score = Score.load()
    base, base_rows = read_base()
    figures, rows = add_headline({"base": base, "tuned": {}, "svm": {}}, {"base": base_rows, "tuned": {}, "svm": {}})
    lines = compare_models(figures, rows, score.resamples, score.seed)
    tests = list_sensitivities(lines)
    if not tests:
        raise InputError("metrics: base took no test that can show forgetting; a hosted model tells no likelihoods")
    shown = [test for test in tests if test.name != "mmlu.acc"]  # it repeats the formulation that is named below
    print(table(shown), end="\n\n")
    if formulation := figures["base"].get("mmlu", {}).get("formulation"):
        print(f"Headline of general knowledge: {FORMULATIONS[formulation]} (mmlu.{formulation}), where base does best.")
    print(*(line for test in shown if (line := explain_insensitivity(test, shown))), *warn_if_stale(), sep="\n")
    if find_most_sensitive(shown) is None:
        raise InputError(
            "metrics: base is not above chance in any test, so none can show forgetting; take easier questions for "
            "data.benchmark, or a larger model"
        )
