"""Rows of parquet files and of hub data sets: pinned, offline from the hub's cache, clear errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from alloy.core.files import InputError, read_jsonl
from alloy.formats.general import REJECTED
from data_folders import prepare_folder, write_source
from projects import copy_code, make_environment

COMMIT = "0123456789" * 4
CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': Price
          '1': Lock
configs:
- config_name: default
  data_files: [{split: train, path: data/train-*}]
---
"""


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def test_a_parquet_file_becomes_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_source({}, {"format": "parquet", "columns": {"id": "n", "text": "t", "levels": ["l"]}})
    write_parquet(folder / "a.parquet", [{"n": 1, "t": "Hi", "l": ["a", "b"]}, {"n": 2, "t": None, "l": ["a"]}])
    prepared = prepare_folder(folder)
    assert [(row["id"], len(row["segments"])) for row in prepared.rows] == [("1", 2)]
    (folder / "a.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"^data/mine/a\.parquet: "):
        prepare_folder(folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project, and a hub cache with one data set."""
    copy_code(tmp_path / "project")
    cached = tmp_path / "hub/datasets--me--tiny"
    snapshot = cached / "snapshots" / COMMIT
    write_parquet(
        snapshot / "data/train-00000-of-00001.parquet",
        [{"text": "Dear", "label": 0}, {"text": "Jams", "label": 1}, {"text": "Unknown", "label": -1}],
    )
    (snapshot / "README.md").write_text(CARD)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(COMMIT)
    (tmp_path / "project/params.yaml").write_text("data: {comments: mine, general: mine}\n")
    return tmp_path / "project"


def run_prepare(project: Path, kind: str = "comments", **source: Any) -> "subprocess.CompletedProcess[str]":
    (project / "data/mine").mkdir(parents=True, exist_ok=True)
    (project / "data/mine/source.yaml").write_text(yaml.safe_dump({"format": "hub", "repository": "me/tiny", **source}))
    cache = {"HF_HUB_CACHE": str(project.parent / "hub"), "HF_DATASETS_CACHE": str(project.parent / "datasets")}
    return subprocess.run(
        [sys.executable, "-m", "stages.prepare", kind],
        cwd=project,
        env=make_environment(PYTHONPATH=":".join(sys.path), **cache),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_hub_data_is_read_from_the_cache_with_class_names_as_labels(project: Path) -> None:
    result = run_prepare(project, revision=COMMIT, columns={"text": "text", "levels": ["label"]})
    assert (result.returncode, result.stderr) == (0, "")
    rows = read_jsonl(project / "data/prepared/comments/comments.jsonl")
    assert [(row["text"], row["segments"]) for row in rows] == [("Dear", [{"L1": "Price"}]), ("Jams", [{"L1": "Lock"}])]


@pytest.mark.slow
def test_hub_data_becomes_general_data_with_the_repository_as_source(project: Path) -> None:
    columns = {"instruction": "text", "output": "label"}
    result = run_prepare(project, "general", revision=COMMIT, layout="alpaca", columns=columns, license="MIT")
    assert (result.returncode, result.stderr) == (0, "")
    row = read_jsonl(project / "data/prepared/general/general.jsonl")[0]
    assert (row["source"], row["license"], row["messages"][1]["content"]) == ("me/tiny", "MIT", "Price")


@pytest.mark.slow
def test_an_invalid_row_of_hub_data_is_left_out_and_listed_by_its_number(project: Path) -> None:
    (snapshot,) = project.parent.glob("hub/*/snapshots/*")
    rows = [
        {"conversations": [{"from": role, "value": "Hi"} for role in roles]}
        for roles in (("human", "gpt"), ("human", "alien"), ("human", "gpt"))
    ]
    write_parquet(snapshot / "data/train-00000-of-00001.parquet", rows)
    (snapshot / "README.md").write_text("---\nconfigs: [{config_name: default, data_files: data/train-*}]\n---\n")
    (project / "params.yaml").write_text("data: {general: mine}\ngeneral_rows: {on_bad_row: reject}\n")
    result = run_prepare(project, "general", revision=COMMIT, layout="sharegpt")
    assert (result.returncode, result.stderr) == (0, "")
    prepared = project / "data/prepared/general"
    assert len(read_jsonl(prepared / "general.jsonl")) == 2
    assert [(row["file"], row["line"]) for row in read_jsonl(prepared / REJECTED)] == [("me/tiny@01234567", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "location", "value"),
    [
        ({"revision": "main"}, "revision: ", "commit"),
        ({"revision": "f" * 40}, "repository: ", "me/tiny@ffffffff"),
        ({"revision": COMMIT, "split": "nope"}, "me/tiny@01234567: ", "nope"),
        ({"revision": COMMIT, "subset": "nope"}, "me/tiny@01234567: ", "nope"),
    ],
)
def test_unavailable_hub_data_is_a_one_line_error(
    project: Path, source: dict[str, str], location: str, value: str
) -> None:
    result = run_prepare(project, columns={"text": "text", "levels": ["label"]}, **source)
    assert result.returncode == 1
    assert result.stderr.startswith(f"prepare: data/mine/source.yaml: {location}"), result.stderr
    assert value in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_object_instead_of_text_is_an_error_with_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"format": "jsonl", "columns": {"text": "body", "levels": ["tags"]}}
    rows = '{"body": "a", "tags": ["x"]}\n{"body": {"html": "b"}, "tags": ["x"]}\n'
    with pytest.raises(InputError, match=r"^data/mine/a\.jsonl:2: `body`"):
        prepare_folder(write_source({"a.jsonl": rows}, source))
