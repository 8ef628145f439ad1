"""The index of the rows of a file: each row is read unchanged, and has a kind and a rank."""

from pathlib import Path

import pytest

from alloy.core.files import write_jsonl
from alloy.mixing.row_index import open_row_index
from alloy.mixing.sampling_order import compute_position, compute_rank, rank_rows
from alloy.runtime.parallel import BLOCK_ROWS
from hostile_comments import HOSTILE
from mix_rows import index_rows, make_chat, make_file, make_general_rows

HARD = [make_chat(f"{number} é\u2028\n", f"a|b {number % 2}", text or "none") for number, text in enumerate(HOSTILE)]


def test_every_row_is_read_unchanged() -> None:
    opened = index_rows(HARD)
    assert [opened.read_row(index) for index in range(len(HARD))] == HARD
    for index in (5, 0, len(HARD) - 1):
        assert opened.read_row(index) == HARD[index]


def test_a_line_is_read_with_the_same_bytes(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", HARD)
    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines(keepends=True)
    with (tmp_path / "rows.jsonl").open("rb") as file:
        opened = open_row_index(file, 0)
        assert [opened.read_line(index) for index in range(len(lines))] == lines


def test_a_last_line_without_a_line_end_is_a_row() -> None:
    whole = b'{"id":"a","source":"s","category":"c"}\n{"id":"b","source":"s","category":"c"}'
    opened = open_row_index(make_file(whole), 0)
    assert [opened.read_row(index)["id"] for index in range(2)] == ["a", "b"]


def test_a_blank_line_is_not_a_row() -> None:
    row = b'{"id":"a","source":"s","category":"c"}\n'
    opened = open_row_index(make_file(b"\n" + row + b" \n\n" + row), 0)
    assert [opened.read_row(index)["id"] for index in range(len(opened.table))] == ["a", "a"]
    assert len(open_row_index(make_file(b"\n"), 0).table) == 0


def test_no_rows_give_an_empty_index() -> None:
    opened = index_rows([])
    assert (len(opened.table), opened.kinds) == (0, [])
    assert opened.list_in_order([]).tolist() == []


def test_rows_with_the_same_source_category_and_license_are_of_one_kind() -> None:
    rows = [
        make_chat("1", "s", "math"),
        make_chat("2", "s", "math", license="MIT"),
        make_chat("3", "t", "math"),
        make_chat("4", "s", "math"),
        make_chat("5", "s", "code"),
    ]
    opened = index_rows(rows)
    assert opened.kinds == [("s", "math", None), ("s", "math", "MIT"), ("t", "math", None), ("s", "code", None)]
    assert opened.table["kind"].tolist() == [0, 1, 2, 0, 3]


@pytest.mark.parametrize("seed", [0, 7])
def test_the_index_has_the_sampling_order_of_rank_rows(seed: int) -> None:
    rows = make_general_rows(200)
    opened = index_rows(rows, seed)
    assert [opened.read_row(index) for index in opened.list_in_order([0, 1, 2]).tolist()] == rank_rows(rows, seed)
    assert opened.table["rank"].tolist() == [compute_rank(seed, row["id"]) for row in rows]
    assert opened.table["position"].tolist() == [compute_position(seed, row["id"]) for row in rows]


def test_list_in_order_has_only_rows_of_the_given_kinds() -> None:
    opened = index_rows(make_general_rows(60))
    found = opened.list_in_order([1]).tolist()
    assert {opened.read_row(index)["category"] for index in found} == {"math"}
    assert found == [index for index in opened.list_in_order([0, 1, 2]).tolist() if index % 3 == 1]


def test_many_rows_are_indexed_like_few() -> None:
    count = 2 * BLOCK_ROWS + 5
    rows = [make_chat(str(n), f"source {n // 4_000}", f"category {n % 7}", 1) for n in range(count)]
    opened = index_rows(rows)  # in several processes
    kinds = list(dict.fromkeys((row["source"], row["category"], None) for row in rows))
    assert opened.kinds == kinds
    assert [kinds[number][:2] for number in opened.table["kind"].tolist()] == [
        (row["source"], row["category"]) for row in rows
    ]
    for index in (0, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS, count - 1):
        assert opened.read_row(index) == rows[index]
        assert opened.table["rank"][index] == compute_rank(0, rows[index]["id"])
