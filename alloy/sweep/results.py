"""Finished runs of this commit, as DVC keeps them, with the settings they were trained by.

A run is an experiment of the current commit, that commit itself, or the workspace. Its figures are those of its
metrics/compare.json and of the rows beside it, from DVC's cache.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alloy.comparison.compare import require_same
from alloy.comparison.costs import Budget, budget
from alloy.comparison.item_rows import rows_of
from alloy.comparison.metrics import Metric
from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import MIN_ITEMS, Counts
from alloy.sweep.axis import TASK
from alloy.sweep.dvc_experiments import (
    WORKSPACE,
    Settings,
    experiments,
    finished,
    in_place,
    read_lock,
    settings_of,
    shared,
)

FILES = COMPARED, SCORED = "metrics/compare.json", "metrics/score/tuned.jsonl"


class Files(Protocol):
    """The files of a run."""

    def read_text(self, path: str, /) -> str | bytes:
        """Return the text of a file; raise `FileNotFoundError` if there is none, or if it is not in the cache."""
        ...


@dataclass(frozen=True)
class Run:
    """A finished run: its settings, the lines of its comparison by metric, what its training was given, its files."""

    name: str
    settings: Settings
    lines: dict[str, Row]
    given: Budget | None = None
    files: Files | None = field(default=None, compare=False, repr=False)
    formulation: str | None = None  # of `mmlu.acc`
    _read: dict[str, list[Row]] = field(default_factory=dict, compare=False, repr=False)

    def figure(self, metric: Metric, model: str = "tuned") -> Row | None:
        """Return `{value, low?, high?}` of a model, or None if it was not measured."""
        return self.lines.get(metric.name, {}).get("models", {}).get(model)

    def items(self, metric: Metric) -> int | None:
        """Return how many items a metric is measured on, None if that is not known."""
        return self.lines.get(metric.name, {}).get("n")

    def too_few(self, metric: Metric) -> bool:
        """Return whether the items of a metric are too few for an interval or a comparison."""
        items = self.items(metric)
        return items is not None and items < MIN_ITEMS

    def change(self, metric: Metric) -> Row | None:
        """Return `{value, low?, high?}` of the tuned model less base, or None if either was not measured."""
        return self.lines.get(metric.name, {}).get("change")

    def rows(self, metric: Metric, model: str = "tuned") -> list[Row] | None:
        """Return what a metric counts of each item, in the order of the test; None if the run keeps no such rows."""
        if self.files is None:
            return None
        try:
            return rows_of(metric, model, self._rows, self.formulation) or None
        except FileNotFoundError:
            return None

    def _rows(self, path: str) -> list[Row]:
        assert self.files is not None
        if path not in self._read:
            self._read[path] = [json.loads(line) for line in str(self.files.read_text(path)).split("\n") if line]
        return self._read[path]


def counts_of(metric: Metric, runs: list[tuple[Run, str]]) -> list[Counts] | None:
    """Return the counts of each (run, model), row by row of the same items; None if one has none.

    Rows of other items than the first one's raise `InputError`.
    """
    found = [run.rows(metric, model) for run, model in runs]
    items, first = metric.items, found[0] if found else None
    if items is None or first is None:
        return None
    counts = []
    for (run, model), rows in zip(runs, found, strict=True):
        if rows is None:
            return None
        require_same(f"{run.name}: {metric.name} of {model}", rows, first)
        counts.append(np.array([items.counts(row) for row in rows], np.int64))
    return counts


def read_runs(axis: Metric) -> tuple[list[Run], list[str]]:
    """Return the finished runs that measured `axis`, each once, and a line for each that is left out."""
    done, left = experiments()
    here = Path("dvc.lock").is_file()
    like = shared(read_lock(WORKSPACE if here else "HEAD"))
    runs: list[Run] = []
    quiet: list[str] = []  # why HEAD and workspace are no runs: of no interest beside some that are
    for name, rev in [*done, ("HEAD", "HEAD"), *([(WORKSPACE, WORKSPACE)] if here else [])]:
        try:
            run = _read_run(name, rev, like, axis)
        except InputError as error:
            (left if (name, rev) in done else quiet).append(f"{name}: {error}")
            continue
        alike = [other for other in runs if other.settings == run.settings]
        if not alike:
            runs.append(run)
        elif alike[0].lines != run.lines:
            left.append(f"{name}: the settings and seed of {alike[0].name}, and other figures; one of them is used")
    order = sorted(runs, key=lambda run: (run.settings.lr, run.settings.ratio, run.settings.seed))
    return order, left if runs else [*left, *quiet]


def by_metric(lines: list[Row]) -> dict[str, Row]:
    """Return the lines of a comparison by the names of their metrics."""
    return {line.get("name") or f"{line['part']}.{line['key']}".rstrip("."): line for line in lines}


def _read_run(name: str, rev: str, like: dict[str, Any], axis: Metric) -> Run:
    from dvc.api import DVCFileSystem

    lock = read_lock(rev)
    if not finished(lock):
        raise InputError("not run to its end")
    other = [path for path, content in shared(lock).items() if content != like[path]]
    if other:
        raise InputError(f"{other[0]} is another, figures cannot be compared")
    if rev == WORKSPACE and (stale := [path for path in FILES if not in_place(path, lock)]):
        raise InputError(f"{stale[0]} is not that of dvc.lock; `dvc checkout` brings it")
    files = DVCFileSystem(rev=None if rev == WORKSPACE else rev)

    def read(path: str) -> Any:  # noqa: ANN401 (a JSON document may be anything)
        try:
            return json.loads(files.read_text(path))
        except FileNotFoundError:
            raise InputError(f"{path} is not in DVC's cache; run it again") from None

    compared = read(COMPARED)
    lines = by_metric(compared["measures"])
    for metric in (TASK, axis):
        if not {"base", "tuned"} <= lines.get(metric.name, {"models": {}})["models"].keys():
            raise InputError(f"{metric.name} was not measured for base and tuned model")
    settings = settings_of(lock)
    given = budget(read("metrics/mix.json")["mix"], read("metrics/train.json")["train"], settings.lr)
    run = Run(name, settings, lines, given, files, compared["mmlu"]["formulation"])
    for metric in (TASK, axis):
        if metric.items and run.rows(metric) is None:
            raise InputError(f"the rows of {metric.name} are not in DVC's cache; run it again")
    return run
