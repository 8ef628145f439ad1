"""A file of comments is checked block by block: valid comments, rejects with reasons, and the task it defines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alloy.core.files import number_lines
from alloy.core.text import hash_to_uint64
from alloy.formats.taxonomy import Taxonomy
from alloy.splitting.assignment import FREE, TEST, TRAIN
from alloy.splitting.near_duplicates import compute_minhash_signatures, hash_halves
from alloy.splitting.validate import CheckedComments, check_block, join_blocks

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy"): "", ("Price", "Fair"): ""})
PAIRING, EASY = {"L1": "Setup", "L2": "Pairing"}, {"L1": "Setup", "L2": "Easy"}


def make_row(identity: str, text: str = "It does not pair.", **fields: Any) -> dict[str, Any]:
    return {"id": identity, "text": text, "segments": [PAIRING], **fields}


def check_comments(folder: Path, rows: list[Any], block: int = 100) -> CheckedComments:
    """Write the rows (bytes are written unchanged), and check them in blocks of a given number of lines."""
    path = folder / "comments.jsonl"
    path.write_bytes(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))
    lines = list(number_lines(path))
    return join_blocks(
        path, [check_block(path, TAXONOMY, lines[start : start + block]) for start in range(0, len(lines), block)]
    )


def list_reasons(checked: CheckedComments) -> list[tuple[int, str]]:
    return [(reject["line"], reject["reason"]) for reject in checked.rejects]


def test_each_comment_has_its_line_hashes_subset_and_signature(tmp_path: Path) -> None:
    rows = [
        make_row("a", "Too  DEAR"),
        b"",
        make_row("b", split="train"),
        make_row("c", split="test", segments=[EASY, PAIRING]),
    ]
    checked = check_comments(tmp_path, rows)
    assert checked.table["line"].tolist() == [1, 3, 4]
    assert checked.table["id"].tolist() == [hash_to_uint64(identity) for identity in "abc"]
    assert checked.table["key"].tolist()[0] == hash_to_uint64("too dear")
    assert checked.table["given_subset"].tolist() == [FREE, TRAIN, TEST]
    assert np.array_equal(checked.table["signature"][:1], compute_minhash_signatures(["too dear"]))
    assert np.array_equal(checked.table["halves"], hash_halves(map(checked.read_folded_text, range(3))))
    assert checked.leaves == [(0,), (0,), (1, 0)]
    assert [checked.read_id(index) for index in range(3)] == ["a", "b", "c"]
    assert checked.read_folded_text(0) == "too dear"


def test_a_row_is_kept_unchanged_except_for_its_split(tmp_path: Path) -> None:
    row = make_row("a", " ¡No  vá! ", lang="es", segments=[{"content": " ¡No  vá! ", **PAIRING, "emotion": "anger"}])
    checked = check_comments(tmp_path, [row | {"split": "test"}])
    assert [json.loads(line) for line in checked.rows] == [row]


def test_blocks_of_any_size_give_the_rows_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [
        make_row(f"c{number}", f"Text {number}", segments=[PAIRING, EASY][: 1 + number % 2]) for number in range(25)
    ]
    expected, checked = check_comments(tmp_path, rows), check_comments(tmp_path, rows, block=4)
    assert (checked.rows, checked.leaves, checked.emotions) == (expected.rows, expected.leaves, expected.emotions)
    assert np.array_equal(checked.table, expected.table)


def test_rejects_are_listed_in_order_with_their_lines(tmp_path: Path) -> None:
    rows = [make_row("a"), b"{", make_row("b", segments=[]), b"[1]", b'{"id": "\xff"}', make_row("c")]
    checked = check_comments(tmp_path, rows, block=2)
    assert [line for line, _ in list_reasons(checked)] == [2, 3, 4, 5]
    messages = [reason for _, reason in list_reasons(checked)]
    for message, value in zip(messages, ("JSON", "'b': `segments` ", "an array", "byte 9 "), strict=True):
        assert value in message
    assert {reject["file"] for reject in checked.rejects} == {str(tmp_path / "comments.jsonl")}
    assert [checked.read_id(index) for index in range(2)] == ["a", "c"]


@pytest.mark.parametrize("folder", ["my: set", "50%", "a b"])
def test_a_reason_does_not_include_the_path(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    ((line, reason),) = list_reasons(check_comments(tmp_path / folder, [make_row("a"), b"[1]"]))
    assert line == 2
    assert "an array" in reason
    assert folder not in reason


@pytest.mark.parametrize("block", [1, 2, 100])
def test_the_reason_of_a_duplicate_id_names_both_lines_in_any_block(tmp_path: Path, block: int) -> None:
    rows = [make_row("a"), make_row("b"), b"", make_row("a", "Other words"), make_row("c"), make_row("a", "Yet others")]
    checked = check_comments(tmp_path, rows, block)
    assert [line for line, _ in list_reasons(checked)] == [4, 6]
    assert all("'a'" in reason and "line 1" in reason for _, reason in list_reasons(checked))
    assert [checked.read_id(index) for index in range(3)] == ["a", "b", "c"]
    assert checked.read_folded_text(0) == "it does not pair."


def test_the_task_is_derived_from_the_comments(tmp_path: Path) -> None:
    levels = {"levels": ["L1", "L2"], "leaves": 3}
    bare = make_row("a")
    full = make_row("b", segments=[{**EASY, "content": "pair", "emotion": "joy"}, {**EASY, "emotion": "anger"}])
    assert check_comments(tmp_path, [bare]).describe_task(TAXONOMY) == {
        **levels,
        "has_content": False,
        "emotions": [],
        "most_segments": 1,
    }
    for block in (1, 2):
        assert check_comments(tmp_path, [bare, full], block).describe_task(TAXONOMY) == {
            **levels,
            "has_content": True,
            "emotions": ["anger", "joy"],
            "most_segments": 2,
        }


def test_a_rejected_row_adds_nothing_to_the_task(tmp_path: Path) -> None:
    segments = [{**EASY, "content": "pair", "emotion": "joy"}] * 3
    checked = check_comments(
        tmp_path,
        [make_row("a"), make_row("a", "Again", segments=segments), make_row("b", segments=[*segments, {"L1": "x"}])],
    )
    assert len(checked.rejects) == 2
    task = checked.describe_task(TAXONOMY)
    assert (task["has_content"], task["emotions"], task["most_segments"]) == (False, [], 1)


QUOTES = {
    "unchanged": ("It does not pair.", "not pair", True),
    "with another case and other spaces": ("It does  NOT\npair.", "not pair", True),
    "an accent in another encoding": ("señal", "sen\u0303al", True),
    "other words": ("It does not pair.", "no pairing", False),
    "words in another order": ("It does not pair.", "pair not", False),
}


@pytest.mark.parametrize(("text", "content", "quoted"), QUOTES.values(), ids=QUOTES)
def test_content_is_looked_up_in_the_text(tmp_path: Path, text: str, content: str, quoted: bool) -> None:
    checked = check_comments(tmp_path, [make_row("a", text, segments=[PAIRING, {**EASY, "content": content}])])
    assert checked.table["quoted"].tolist() == [quoted]


def test_segments_without_content_count_as_quoted(tmp_path: Path) -> None:
    assert check_comments(tmp_path, [make_row("a")]).table["quoted"].tolist() == [True]


def test_windows_line_ends_and_a_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    rows = [make_row("a"), make_row("b", "Zwei\nZeilen")]
    plain = check_comments(tmp_path, rows)
    lines = [json.dumps(row).encode() + b"\r" for row in rows]
    windows = check_comments(tmp_path, [b"\xef\xbb\xbf" + lines[0], lines[1]])
    assert (windows.rows, windows.rejects) == (plain.rows, [])


def test_a_file_of_invalid_rows_has_no_comments(tmp_path: Path) -> None:
    checked = check_comments(tmp_path, [b"{", b"["], block=1)
    assert (checked.rows, checked.leaves, len(checked.table), checked.describe_task(TAXONOMY)["most_segments"]) == (
        [],
        [],
        0,
        0,
    )
    assert len(checked.rejects) == 2
