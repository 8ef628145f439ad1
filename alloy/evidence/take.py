"""Take a finished run of another project folder as a record: one that was made by `dvc repro`, say on a cluster.

The folder needs params.yaml, dvc.lock and metrics/ as the run left them; data/split/train.jsonl tells how many comments
there were to train on. What the run was made by must be what the experiment says.
"""

from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import InputError, Row
from alloy.core.settings import PARAMS
from alloy.evidence.experiment import Point
from alloy.sweep.dvc_experiments import finished

MISSING = object()


def check_run(folder: Path, point: Point) -> None:
    """Raise `InputError` unless the run in `folder` is finished and was made by the settings of `point`."""
    files = [folder / "dvc.lock", folder / PARAMS]
    if absent := [file for file in files if not file.is_file()]:
        raise InputError(f"{absent[0]}: no such file; give the folder of a project whose run is finished")
    lock, params = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in files)
    if not finished(lock["stages"]):
        raise InputError(f"{files[0]}: the stage compare, or one before it, is not up to date; run `dvc repro`")
    for key, wanted in {**point.settings, "seed": point.seed}.items():
        found = setting(key, params, lock["stages"])
        if found is MISSING and wanted is None:
            continue
        if found is MISSING or found != wanted:
            got = "nothing" if found is MISSING else repr(found)
            raise InputError(f"{folder}: {key}: expected {wanted!r} as {point.configuration} has it, got {got}")


def setting(key: str, params: Row, stages: Row) -> Any:  # noqa: ANN401 (whatever YAML holds)
    """Return the value that a run had for a key: of a profile's section as locked, else of params.yaml."""
    section = key.partition(".")[0]
    for stage in stages.values():
        for file, values in stage.get("params", {}).items():
            if file.startswith("profiles/") and section in values:
                return _at(values, key)
    return _at(params, key)


def _at(values: Any, key: str) -> Any:  # noqa: ANN401 (whatever YAML holds)
    for word in key.split("."):
        if not isinstance(values, dict) or word not in values:
            return MISSING
        values = values[word]
    return values
