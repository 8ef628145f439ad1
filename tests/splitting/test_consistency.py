"""Copies with different labels, and emotions that differ only in case, are found and give a warning."""

import json
import re
from pathlib import Path
from typing import Any

from alloy.core.files import number_lines
from alloy.formats.taxonomy import Taxonomy
from alloy.splitting.consistency import (
    describe_contradictions,
    describe_emotions,
    describe_label_problems,
    find_contradictions,
)
from alloy.splitting.validate import CheckedComments, check_block, join_blocks

TAXONOMY = Taxonomy(("L1",), {("Price",): "", ("Setup",): ""})


def make_row(identity: str, text: str, *labels: str, **fields: str) -> dict[str, Any]:
    return {"id": identity, "text": text, "segments": [{"L1": label, **fields} for label in labels]}


def check_comments(folder: Path, *rows: dict[str, Any], block: int = 2) -> CheckedComments:
    path = folder / "comments.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = list(number_lines(path))
    return join_blocks(
        path, [check_block(path, TAXONOMY, lines[start : start + block]) for start in range(0, len(lines), block)]
    )


def test_copies_with_other_labels_are_listed_with_their_ids(tmp_path: Path) -> None:
    contradictions = find_contradictions(
        check_comments(
            tmp_path,
            make_row("a", "Too dear", "Price"),
            make_row("b", "Fine", "Price", "Setup"),
            make_row("c", "too&nbsp;DEAR", "Setup"),
            make_row("d", "fine", "Setup", "Price"),  # the order of labels does not matter
            make_row("e", " Too dear\u200b", "Price"),
            make_row("f", "Well", "Price"),
        )
    )
    variants = [{"labels": ["Price"], "ids": ["a", "e"]}, {"labels": ["Setup"], "ids": ["c"]}]
    assert contradictions == [{"text": "Too dear", "comments": 3, "labels": variants}]


def test_emotions_and_numbers_of_segments_are_labels_too(tmp_path: Path) -> None:
    rows = [make_row("a", "x", "Price", emotion="joy"), make_row("b", "x", "Price"), make_row("c", "y", "Price")]
    contradictions = find_contradictions(check_comments(tmp_path, *rows, make_row("d", "y", "Price", "Price")))
    assert [[variant["labels"] for variant in text["labels"]] for text in contradictions] == [
        [["Price [joy]"], ["Price"]],
        [["Price"], ["Price", "Price"]],
    ]


def test_the_text_with_the_most_copies_comes_first(tmp_path: Path) -> None:
    rows = [
        make_row("a", "x", "Price"),
        make_row("b", "x", "Setup"),
        *(make_row(f"c{n}", "y", ["Price", "Setup"][n % 2]) for n in range(3)),
    ]
    assert [text["comments"] for text in find_contradictions(check_comments(tmp_path, *rows))] == [3, 2]


def test_without_copies_there_are_no_contradictions(tmp_path: Path) -> None:
    assert find_contradictions(check_comments(tmp_path, make_row("a", "x", "Price"), make_row("b", "y", "Setup"))) == []
    assert find_contradictions(check_comments(tmp_path, {"id": "broken"})) == []
    assert describe_contradictions([], "file") == []


def test_comments_with_the_same_segment_twice_give_a_warning(tmp_path: Path) -> None:
    rows = [make_row(f"c{number}", f"text {number}", "Price", "Setup", "Price") for number in range(6)]
    for row in rows[4:]:
        row["segments"][2]["emotion"] = "joy"  # another segment
    (line,) = describe_label_problems(check_comments(tmp_path, *rows))
    assert line.startswith("4 comments have") and "(c0, c1, c2, c3)" in line
    (line,) = describe_label_problems(check_comments(tmp_path, rows[0]))
    assert line.startswith("1 comment has") and "(c0)" in line


def test_emotions_that_differ_only_in_case_give_a_warning_with_their_counts_and_places(tmp_path: Path) -> None:
    emotions = [*["anger"] * 3, *["Anger"] * 2, "joy", "ANGER"]
    rows = [make_row(f"c{number}", f"text {number}", "Price") for number in range(len(emotions))]
    for row, emotion in zip(rows, emotions, strict=True):
        row["segments"][0]["emotion"] = emotion
    (line,) = describe_emotions(check_comments(tmp_path, *rows))
    found = re.findall(r"'(\w+)' \((\d+) segments?, first in comment '(\w+)'\)", line)
    assert found == [("ANGER", "1", "c6"), ("Anger", "2", "c3"), ("anger", "3", "c0")]
    assert "joy" not in line
