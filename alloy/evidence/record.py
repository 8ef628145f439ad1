"""The record of a run, docs/evidence/partial/<experiment>/<run>.json: everything that the page needs from the run.

It is written as soon as the run is finished. To continue an experiment on another machine, only its records are needed,
not the models and the DVC cache of the earlier runs.
"""

from pathlib import Path
from typing import Any

import orjson

from alloy.comparison.costs import Budget, compute_budget
from alloy.core.files import InputError, Row, count_lines, read_json, read_jsonl, write_atomically
from alloy.core.yaml_text import read_yaml
from alloy.evidence.experiment import Experiment, PlannedRun
from alloy.evidence.items import BASE_AND_TUNED, RecordedRows, read_items
from alloy.evidence.machine import describe_machine, list_versions
from alloy.sweep.dvc_experiments import RunSettings, select_shared_hashes
from alloy.sweep.results import COMPARE_FILE, Run, index_by_metric

MAX_ANSWER_LENGTH = 1500  # characters; longer chat answers are cut in the record
SHARED_DATA = ("data/split", "data/decontaminate")  # data that runs of one configuration must share


def collect_record(project: Path, run: PlannedRun, commit: str, seconds: Row, date: str) -> Row:
    """Return the record of the finished run in `project`; `seconds` has the time of each stage that ran."""
    compared = read_json(project / COMPARE_FILE)
    lock = read_yaml(project / "dvc.lock")["stages"]
    params, train = lock["train"]["params"], project / "data/split/train.jsonl"
    profile = next(file for file in params if file.startswith("profiles/"))
    return {
        "run": run.name,
        "configuration": run.configuration,
        "seed": run.seed,
        "settings": run.settings,
        "commit": commit,
        "date": date,
        "machine": describe_machine(),
        "versions": list_versions(),
        "seconds": seconds,
        "lr": float(_get_value(params[profile], "train.lr")),
        "inputs": {path: content for path, content in select_shared_hashes(lock).items() if path in SHARED_DATA},
        "comments": count_lines(train) if train.is_file() else None,
        "mix": read_json(project / "metrics/mix.json")["mix"],
        "train": read_json(project / "metrics/train.json")["train"],
        "svm": read_json(project / "metrics/svm.json")["svm"].get("svm", {}),
        "formulation": compared["mmlu"]["formulation"],
        "measures": compared["measures"],
        "verdict": compared["verdict"],
        "chat": _read_chat(project),
        "items": read_items(project),
    }


def _get_value(values: Any, key: str) -> Any:  # noqa: ANN401 (any YAML value)
    for part in key.split("."):
        values = values[part]
    return values


def _read_chat(project: Path) -> list[Row]:
    """Return `{id, prompt, base, tuned}` of each chat prompt; `prompt` is the last message."""
    files = [project / f"metrics/chat/{model}.jsonl" for model in BASE_AND_TUNED]
    base, tuned = (read_jsonl(file) if file.is_file() and file.read_bytes().strip() else [] for file in files)
    answers = {row["id"]: row["answer"] for row in tuned}
    return [
        {
            "id": row["id"],
            "prompt": row["messages"][-1]["content"],
            "base": row["answer"][:MAX_ANSWER_LENGTH],
            "tuned": answers[row["id"]][:MAX_ANSWER_LENGTH],
        }
        for row in base
        if row["id"] in answers
    ]


def write_record(path: Path, record: Row) -> None:
    """Write a record as JSON with one line per key, which is compact and keeps the first lines readable."""
    lines = ",\n".join(f"{orjson.dumps(key).decode()}: {orjson.dumps(value).decode()}" for key, value in record.items())
    write_atomically(path, lambda file: file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8"))


def read_records(folder: Path) -> dict[str, Row]:
    """Return the records in `folder`, by the name of their run."""
    records = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    for name, record in records.items():
        if not isinstance(record, dict) or {"settings", "items", "measures", "commit"} - record.keys():
            raise InputError(
                f"{folder / name}.json: not a record of a run; remove this file, then run the command again"
            )
    return records


def select_finished(runs: list[PlannedRun], records: dict[str, Row], folder: Path) -> dict[str, Row]:
    """Return the records that exist for `runs`; raise `InputError` if one was run with other settings."""
    selected = {}
    for run in runs:
        record = records.get(run.name)
        if record is None:
            continue
        keys = sorted(record["settings"].keys() | run.settings.keys())
        if different := [key for key in keys if record["settings"].get(key) != run.settings.get(key)]:
            expected, got = run.settings.get(different[0]), record["settings"].get(different[0])
            raise InputError(
                f"{folder / run.name}.json: {different[0]}: expected {expected!r} as in the experiment, got {got!r}; "
                "undo the change in the experiment's file, or remove this record to repeat the run"
            )
        selected[run.name] = record
    return selected


def read_budget(record: Row) -> Budget | None:
    """Return the training budget of a run; None if nothing was trained, or if an old commit did not record it."""
    return compute_budget(record["mix"], record["train"], record["lr"]) if "source" in record["train"] else None


def to_run(record: Row) -> Run:
    """Return a record as a run of a sweep; the label identifies its configuration."""
    ratio = float(record["mix"].get("asked", record["mix"]["achieved"]))
    settings = RunSettings(ratio, record["lr"], record["seed"], record["configuration"])
    lines = index_by_metric(record["measures"])
    return Run(
        record["run"], settings, lines, read_budget(record), RecordedRows(record["items"]), record["formulation"]
    )


def group_records(experiment: Experiment, records: dict[str, Row]) -> dict[str, list[Row]]:
    """Return the records by configuration, in the order of the experiment and of its seeds.

    Raise `InputError` if the records of one configuration were made from different data.
    """
    groups: dict[str, list[Row]] = {}
    for run in sorted(experiment.list_runs(), key=lambda run: list(experiment.configurations).index(run.configuration)):
        if run.name in records:
            groups.setdefault(run.configuration, []).append(records[run.name])
    for group in groups.values():
        for record in group[1:]:
            if different := [
                path for path, content in record["inputs"].items() if content != group[0]["inputs"].get(path)
            ]:
                raise InputError(
                    f"{record['run']} and {group[0]['run']}: made from different data ({different[0]}), so they cannot "
                    "be averaged; remove the record of one of them to repeat its run"
                )
    return groups
