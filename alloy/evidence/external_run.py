"""Check a finished run in another project folder, for example on a cluster, before it becomes a record.

The folder needs params.yaml, dvc.lock and metrics/ as `dvc repro` left them, and data/split/train.jsonl for the number
of training comments. The settings of the run must be those of the experiment.
"""

from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.core.settings import PARAMS
from alloy.core.yaml_text import read_yaml
from alloy.evidence.experiment import PlannedRun
from alloy.sweep.dvc_experiments import is_finished

MISSING = object()


def check_run(folder: Path, run: PlannedRun) -> None:
    """Raise `InputError` unless the run in `folder` is finished and has the settings of `run`."""
    files = [folder / "dvc.lock", folder / PARAMS]
    if missing := [file for file in files if not file.is_file()]:
        raise InputError(f"{missing[0]}: no such file; expected a project with a finished run")
    lock, params = map(read_yaml, files)
    if not is_finished(lock["stages"]):
        raise InputError(f"{files[0]}: expected a finished run, got a stage that is not up to date; run `dvc repro`")
    for key, expected in {**run.settings, "seed": run.seed}.items():
        value = read_setting(key, params, lock["stages"])
        if value is MISSING and expected is None:
            continue
        if value is MISSING or value != expected:
            got = "nothing" if value is MISSING else repr(value)
            raise InputError(f"{folder}: {key}: expected {expected!r} (configuration '{run.configuration}'), got {got}")


def read_setting(key: str, params: Row, stages: Row) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the value of a key in a run: from the profile if dvc.lock has its section there, else params.yaml."""
    section = key.partition(".")[0]
    for stage in stages.values():
        for file, values in stage.get("params", {}).items():
            if file.startswith("profiles/") and section in values:
                return _get_value(values, key)
    return _get_value(params, key)


def _get_value(values: Any, key: str) -> Any:  # noqa: ANN401 (any YAML value)
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return MISSING
        values = values[part]
    return values
