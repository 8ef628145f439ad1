"""Finished runs of the current commit, with their settings and metrics.

A run is an experiment of the current commit, that commit itself, or the workspace. Its metrics are read from its
metrics/compare.json and from the rows of its stages, through the DVC cache.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alloy.comparison.compare import require_same_ids
from alloy.comparison.costs import Budget, compute_budget
from alloy.comparison.item_rows import select_rows
from alloy.comparison.metrics import Metric
from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import MIN_ITEMS, Counts
from alloy.sweep.axis import TASK_METRIC
from alloy.sweep.dvc_experiments import (
    WORKSPACE,
    RunSettings,
    is_finished,
    is_in_workspace,
    list_experiments,
    read_lock,
    read_run_settings,
    select_shared_hashes,
)

REQUIRED_FILES = COMPARE_FILE, SCORE_ROWS = "metrics/compare.json", "metrics/score/tuned.jsonl"


class FileReader(Protocol):
    """The files of a run."""

    def read_text(self, path: str, /) -> str | bytes:
        """Return the text of a file; raise `FileNotFoundError` if it does not exist or is not in the cache."""
        ...


@dataclass(frozen=True)
class Run:
    """A finished run: settings, lines of its comparison by metric, training budget, and a reader of its files."""

    name: str
    settings: RunSettings
    lines: dict[str, Row]
    budget: Budget | None = None
    files: FileReader | None = field(default=None, compare=False, repr=False)
    formulation: str | None = None  # of `mmlu.acc`
    _rows_by_path: dict[str, list[Row]] = field(default_factory=dict, compare=False, repr=False)

    def read_estimate(self, metric: Metric, model: str = "tuned") -> Row | None:
        """Return `{value, low?, high?}` of a model, or None if it was not measured."""
        return self.lines.get(metric.name, {}).get("models", {}).get(model)

    def count_items(self, metric: Metric) -> int | None:
        """Return the number of items that a metric is measured on, or None if it is not known."""
        return self.lines.get(metric.name, {}).get("n")

    def has_too_few_items(self, metric: Metric) -> bool:
        """Return whether a metric has too few items for an interval or a comparison."""
        items = self.count_items(metric)
        return items is not None and items < MIN_ITEMS

    def read_change(self, metric: Metric) -> Row | None:
        """Return `{value, low?, high?}` of tuned model minus base, or None if one of them was not measured."""
        return self.lines.get(metric.name, {}).get("change")

    def read_rows(self, metric: Metric, model: str = "tuned") -> list[Row] | None:
        """Return the rows of a metric, one per item, in the order of the test; None if the run does not have them."""
        if self.files is None:
            return None
        try:
            return select_rows(metric, model, self._read_file, self.formulation) or None
        except FileNotFoundError:
            return None

    def _read_file(self, path: str) -> list[Row]:
        assert self.files is not None
        if path not in self._rows_by_path:
            self._rows_by_path[path] = [
                json.loads(line) for line in str(self.files.read_text(path)).split("\n") if line
            ]
        return self._rows_by_path[path]


def count_rows(metric: Metric, runs: list[tuple[Run, str]]) -> list[Counts] | None:
    """Return the counts (items, columns) of each (run, model); None if one of them has no rows.

    Raise `InputError` if their items are not those of the first run, in the same order.
    """
    rows_of_runs = [run.read_rows(metric, model) for run, model in runs]
    items, first = metric.items, rows_of_runs[0] if rows_of_runs else None
    if items is None or first is None:
        return None
    counts = []
    for (run, model), rows in zip(runs, rows_of_runs, strict=True):
        if rows is None:
            return None
        require_same_ids(f"{run.name}: {metric.name} of {model}", rows, first)
        counts.append(np.array([items.counts(row) for row in rows], np.int64))
    return counts


def read_runs(axis: Metric) -> tuple[list[Run], list[str]]:
    """Return the finished runs that measured `axis`, without duplicates, and one line per run that is left out."""
    finished, left_out = list_experiments()
    has_lock = Path("dvc.lock").is_file()
    shared = select_shared_hashes(read_lock(WORKSPACE if has_lock else "HEAD"))
    runs: list[Run] = []
    not_runs: list[str] = []  # why HEAD or workspace is not a run; shown only if there are no runs
    for name, rev in [*finished, ("HEAD", "HEAD"), *([(WORKSPACE, WORKSPACE)] if has_lock else [])]:
        try:
            run = _read_run(name, rev, shared, axis)
        except InputError as error:
            (left_out if (name, rev) in finished else not_runs).append(f"{name}: {error}")
            continue
        same_settings = [other for other in runs if other.settings == run.settings]
        if not same_settings:
            runs.append(run)
        elif same_settings[0].lines != run.lines:
            left_out.append(
                f"{name}: same settings and seed as {same_settings[0].name}, but other metrics; only the latter is used"
            )
    ordered = sorted(runs, key=lambda run: (run.settings.lr, run.settings.ratio, run.settings.seed))
    return ordered, left_out if runs else [*left_out, *not_runs]


def index_by_metric(lines: list[Row]) -> dict[str, Row]:
    """Return the lines of a comparison by metric name."""
    return {line.get("name") or f"{line['part']}.{line['key']}".rstrip("."): line for line in lines}


def _read_run(name: str, rev: str, shared: dict[str, Any], axis: Metric) -> Run:
    from dvc.api import DVCFileSystem

    is_experiment = name not in ("HEAD", WORKSPACE)
    again = f"run `dvc exp remove {name}`, then `make sweep`" if is_experiment else "run `dvc repro`"
    lock = read_lock(rev)
    if not is_finished(lock):
        raise InputError(f"not finished; run `{'make sweep' if is_experiment else 'dvc repro'}` to finish the run")
    different = [path for path, content in select_shared_hashes(lock).items() if content != shared[path]]
    if different:
        raise InputError(f"{different[0]} differs from the workspace, so metrics cannot be compared; {again}")
    if rev == WORKSPACE and (stale := [path for path in REQUIRED_FILES if not is_in_workspace(path, lock)]):
        raise InputError(f"{stale[0]} differs from dvc.lock; run `dvc checkout`")
    files = DVCFileSystem(rev=None if rev == WORKSPACE else rev)

    def read_json_output(path: str) -> Any:  # noqa: ANN401 (any JSON value)
        try:
            return json.loads(files.read_text(path))
        except FileNotFoundError:
            raise InputError(f"{path} is not in the DVC cache; {again}") from None

    compared = read_json_output(COMPARE_FILE)
    lines = index_by_metric(compared["measures"])
    for metric in (TASK_METRIC, axis):
        if not {"base", "tuned"} <= lines.get(metric.name, {"models": {}})["models"].keys():
            raise InputError(f"{metric.name} was not measured for base and tuned model; {again}")
    settings = read_run_settings(lock)
    budget = compute_budget(
        read_json_output("metrics/mix.json")["mix"], read_json_output("metrics/train.json")["train"], settings.lr
    )
    run = Run(name, settings, lines, budget, files, compared["mmlu"]["formulation"])
    for metric in (TASK_METRIC, axis):
        if metric.items and run.read_rows(metric) is None:
            raise InputError(f"the rows of {metric.name} are not in the DVC cache; {again}")
    return run
