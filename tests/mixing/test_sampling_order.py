"""The order of general rows depends only on the seed and their ids."""

from alloy.mixing.sampling_order import rank_rows

ROWS = [{"id": str(number)} for number in range(50)]


def test_the_order_of_the_file_does_not_matter():
    assert rank_rows(ROWS[::-1], 0) == rank_rows(ROWS, 0) != ROWS


def test_added_rows_leave_the_others_in_their_order():
    few = rank_rows(ROWS[:20], 0)
    assert [row for row in rank_rows(ROWS, 0) if row in few] == few


def test_another_seed_gives_another_order():
    assert rank_rows(ROWS, 1) != rank_rows(ROWS, 0)
    assert sorted(rank_rows(ROWS, 1), key=ROWS.index) == ROWS
