"""classify labels any comments, one a line, and passes on what else stands there."""

import json
import subprocess
import sys

import orjson
import pytest

from alloy.commands.classify import read_comments
from alloy.core.files import InputError
from projects import LABELS, environment, write_labelling_project

pytestmark = pytest.mark.slow


def test_plain_lines_and_json_lines_are_comments_and_blank_ones_are_none():
    lines = [b"The lock jams.\n", b"\n", b'{"text": "Good.", "id": "x", "shop": 3}\n', "很好\n".encode()]
    assert list(read_comments("f", lines)) == [
        {"id": "1", "text": "The lock jams."},
        {"id": "x", "text": "Good.", "shop": 3},
        {"id": "4", "text": "很好"},
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"text": ""}', r"^f:1: `text` is missing or empty; give the comment or drop the line$"),
        (b'{"comment": "x"}', r"^f:1: `text` is missing or empty"),
        (b'{"text": "x"', r"^f:1: not valid JSON .*; write one object a line$"),
        (b"\xff", r"^f:1: byte 1 is not UTF-8; save the file as UTF-8$"),
    ],
)
def test_a_line_that_is_no_comment_is_one_clear_line(line, fault):
    with pytest.raises(InputError, match=fault):
        list(read_comments("f", [line]))


def classify(project, *arguments, given=""):
    command = [sys.executable, "-m", "alloy", "classify", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment(), input=given, text=True, capture_output=True, check=False, timeout=300
    )


def test_comments_come_out_in_their_order_with_labels_of_the_taxonomy(tmp_path):
    project = write_labelling_project(tmp_path / "project", ["Good."], constrain=True, max_new_tokens=400)
    given = "".join(json.dumps({"text": f"The lock jams {number}.", "shop": number}) + "\n" for number in range(40))
    done = classify(project, "-", "--model", "models/base", given=given)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert [row["shop"] for row in rows] == list(range(40))
    labelled = [row for row in rows if row.get("valid", True)]
    assert len(labelled) > 20
    assert all(
        (s["L1"], s["L2"]) in LABELS.leaves and s["content"] in row["text"] for row in labelled for s in row["segments"]
    )


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path):
    done = classify(write_labelling_project(tmp_path / "project", ["Good."]), "nowhere.jsonl")
    assert (done.returncode, done.stderr) == (1, "alloy: nowhere.jsonl: no such file; give one comment a line\n")
