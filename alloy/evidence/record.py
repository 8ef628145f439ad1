"""The record of a run, docs/evidence/partial/<experiment>/<run>.json: all that its page and other runs need of it.

Written as soon as the run is finished. Whoever has the records goes on from them: no model, no cache, no machine of
those that made them is needed.
"""

from pathlib import Path
from typing import Any

import orjson
import yaml

from alloy.comparison.costs import budget
from alloy.core.files import InputError, Row, count_lines, read_json, read_jsonl, write_whole
from alloy.evidence.experiment import Experiment, Point
from alloy.evidence.items import PAIR, Items, read_items
from alloy.evidence.machine import machine, versions
from alloy.sweep.dvc_experiments import shared
from alloy.sweep.results import COMPARED, Run, Settings, by_metric

LONGEST = 1500  # characters of a chat answer that are kept
SAME = ("data/split", "data/decontaminate")  # what runs must share for their items to be the same


def collect(project: Path, point: Point, commit: str, seconds: Row, date: str) -> Row:
    """Return the record of the run that is finished in `project`; `seconds` are those of the stages that ran."""
    compared = read_json(project / COMPARED)
    lock = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    params, train = lock["train"]["params"], project / "data/split/train.jsonl"
    profile = next(file for file in params if file.startswith("profiles/"))
    return {
        "run": point.name,
        "configuration": point.configuration,
        "seed": point.seed,
        "settings": point.settings,
        "commit": commit,
        "date": date,
        "machine": machine(),
        "versions": versions(),
        "seconds": seconds,
        "lr": float(_at(params[profile], "train.lr")),
        "inputs": {path: content for path, content in shared(lock).items() if path in SAME},
        "comments": count_lines(train) if train.is_file() else None,
        "mix": read_json(project / "metrics/mix.json")["mix"],
        "train": read_json(project / "metrics/train.json")["train"],
        "svm": read_json(project / "metrics/svm.json")["svm"].get("svm", {}),
        "formulation": compared["mmlu"]["formulation"],
        "measures": compared["measures"],
        "verdict": compared["verdict"],
        "chat": _chat(project),
        "items": read_items(project),
    }


def _at(values: Any, key: str) -> Any:  # noqa: ANN401 (whatever a lock holds)
    for word in key.split("."):
        values = values[word]
    return values


def _chat(project: Path) -> list[Row]:
    """Return `{id, prompt, base, tuned}` of each chat prompt; `prompt` is the last message."""
    files = [project / f"metrics/chat/{model}.jsonl" for model in PAIR]
    base, tuned = (read_jsonl(file) if file.is_file() and file.read_bytes().strip() else [] for file in files)
    answers = {row["id"]: row["answer"] for row in tuned}
    return [
        {
            "id": row["id"],
            "prompt": row["messages"][-1]["content"],
            "base": row["answer"][:LONGEST],
            "tuned": answers[row["id"]][:LONGEST],
        }
        for row in base
        if row["id"] in answers
    ]


def write_record(path: Path, record: Row) -> None:
    """Write a record, one line per key: small in git, and its head can be read."""
    lines = ",\n".join(f"{orjson.dumps(key).decode()}: {orjson.dumps(value).decode()}" for key, value in record.items())
    write_whole(path, lambda part: part.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8"))


def read_records(folder: Path) -> dict[str, Row]:
    """Return the records below `folder` by the names of their runs."""
    records = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    for name, record in records.items():
        if not isinstance(record, dict) or {"settings", "items", "measures", "commit"} - record.keys():
            raise InputError(f"{folder / name}.json: not a record of a run; remove it, and the run is made again")
    return records


def finished(points: list[Point], records: dict[str, Row], folder: Path) -> dict[str, Row]:
    """Return the records of `points` that are there; one that was run by other settings raises `InputError`."""
    found = {}
    for point in points:
        record = records.get(point.name)
        if record is None:
            continue
        keys = sorted(record["settings"].keys() | point.settings.keys())
        if other := [key for key in keys if record["settings"].get(key) != point.settings.get(key)]:
            wanted, got = point.settings.get(other[0]), record["settings"].get(other[0])
            raise InputError(
                f"{folder / point.name}.json: {other[0]}: expected {wanted!r} as the experiment says, got {got!r}; "
                "set it back, or remove the record to run it again"
            )
        found[point.name] = record
    return found


def as_run(record: Row) -> Run:
    """Return a record as the sweep's run: its configuration is told by its label alone."""
    ratio = float(record["mix"].get("asked", record["mix"]["achieved"]))
    settings = Settings(ratio, record["lr"], record["seed"], record["configuration"])
    given = budget(record["mix"], record["train"], record["lr"])
    lines = by_metric(record["measures"])
    return Run(record["run"], settings, lines, given, Items(record["items"]), record["formulation"])


def runs_by_configuration(experiment: Experiment, records: dict[str, Row]) -> dict[str, list[Row]]:
    """Return the records of each configuration that has some, in the order of the experiment and of the seeds.

    Those of one configuration must be of the same data, or `InputError` is raised.
    """
    groups: dict[str, list[Row]] = {}
    for point in sorted(experiment.points(), key=lambda one: list(experiment.configurations).index(one.configuration)):
        if point.name in records:
            groups.setdefault(point.configuration, []).append(records[point.name])
    for own in groups.values():
        for record in own[1:]:
            if other := [path for path, content in record["inputs"].items() if content != own[0]["inputs"].get(path)]:
                raise InputError(
                    f"{record['run']} and {own[0]['run']}: {other[0]} is not the same; run one of them again"
                )
    return groups
