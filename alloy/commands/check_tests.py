"""Print which tests can show forgetting for this base model, before it is trained.

Reads   metrics/mmlu/base.json, base.jsonl; metrics/ifeval/base.json, base.jsonl
Run     dvc repro mmlu@base ifeval@base, then alloy check tests

The exit status is 1 if no test can show forgetting.
"""

import json
import subprocess
import sys
from pathlib import Path

from alloy.comparison.chance import BaseScore, explain_chance_level, find_furthest_above_chance, list_base_scores
from alloy.comparison.compare import Rows, compare_models
from alloy.comparison.formulation import add_headline, describe_headline
from alloy.core.files import InputError, Row, read_jsonl
from alloy.core.metrics_file import read_metrics
from alloy.scoring.settings import Score

STAGES = ("mmlu", "ifeval")
MEASURE = f"dvc repro {' '.join(f'{stage}@base' for stage in STAGES)}"


def is_measured() -> bool:
    """Return whether the base model was measured."""
    return all(Path(f"metrics/{stage}/base.json").is_file() for stage in STAGES)


def read_base() -> tuple[Row, dict[str, Rows]]:
    """Return the metrics and the rows of the base model, by part; a missing file raises `InputError`."""
    metrics: Row = {}
    rows: dict[str, Rows] = {}
    for stage in STAGES:
        paths = Path(f"metrics/{stage}/base.json"), Path(f"metrics/{stage}/base.jsonl")
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: no such file; run `{MEASURE}`")
        measured = read_metrics(paths[0], "base")
        if measured.get(stage):
            metrics[stage], rows[stage] = measured[stage], read_jsonl(paths[1])
    return metrics, rows


def warn_if_stale() -> list[str]:
    """Return a warning if the settings changed since the base model was measured; no warning if DVC cannot tell."""
    command = ["dvc", "status", "--json", *(f"{stage}@base" for stage in STAGES)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode or not json.loads(done.stdout or "{}"):
        return []
    return [f"check: the model or the settings changed since the base model was measured; run `{MEASURE}`"]


def format_table(tests: list[BaseScore]) -> str:
    """Return one line per test: the base model's value and interval, chance level, and whether forgetting can show."""
    lines = [f"{'':52}{'n':>6}{'base':>8}{'95 % interval':>18}{'chance':>8}  shows forgetting"]
    for test in tests:
        interval = "-" if test.low is None else f"{test.low:.3f} to {test.high:.3f}"
        answer = "yes" if test.can_show_forgetting else "no"
        lines.append(f"{test.title:52}{test.n:6}{test.value:8.3f}{interval:>18}{test.chance:8.3f}  {answer}")
    return "\n".join(lines)


def main() -> None:
    """Print which tests can show forgetting; fail if none can."""
    score = Score.load()
    base, base_rows = read_base()
    metrics, rows = add_headline({"base": base, "tuned": {}, "svm": {}}, {"base": base_rows, "tuned": {}, "svm": {}})
    lines = compare_models(metrics, rows, score.resamples, score.seed)
    tests = list_base_scores(lines)
    if not tests:
        raise InputError(
            "metrics: no test can show forgetting of the base model, since a hosted model returns no likelihoods; "
            "use a model with weights on this machine"
        )
    shown = [test for test in tests if test.name != "mmlu.acc"]  # a copy of the formulation that is named below
    print(format_table(shown), end="\n\n")
    if formulation := metrics["base"].get("mmlu", {}).get("formulation"):
        print(describe_headline(formulation))
    print(*(line for test in shown if (line := explain_chance_level(test, shown))), sep="\n", flush=True)
    print("".join(f"{line}\n" for line in warn_if_stale()), end="", file=sys.stderr)
    if find_furthest_above_chance(shown) is None:
        raise InputError(
            "data.benchmark: the base model is not above chance in any test, so no test can show forgetting; use "
            "easier questions, or a larger model"
        )
