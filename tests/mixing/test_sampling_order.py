"""Which general rows come first depends on the seed and their ids alone."""

from alloy.mixing.sampling_order import rank

ROWS = [{"id": str(number)} for number in range(50)]


def test_the_order_of_the_file_does_not_matter():
    assert rank(ROWS[::-1], 0) == rank(ROWS, 0) != ROWS


def test_rows_that_are_added_leave_the_others_in_their_order():
    few = rank(ROWS[:20], 0)
    assert [row for row in rank(ROWS, 0) if row in few] == few


def test_another_seed_is_another_order():
    assert rank(ROWS, 1) != rank(ROWS, 0)
    assert sorted(rank(ROWS, 1), key=ROWS.index) == ROWS
