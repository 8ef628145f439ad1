"""Measure leakage: the share of generated answers to general questions that are in the format of the customer task.

The stages that ask general questions do not read the customer's taxonomy. So leakage is computed here, from the answers
in their outputs.
"""

from statistics import fmean

from alloy.comparison.metrics import ANSWERS, TESTS
from alloy.core.files import Row
from alloy.labeling.leakage import TaskFormat, flag_answer

FLAGS = ("leak", "empty", "cut", "loops")
Rows = list[Row]


def flag_answers(rows: dict[str, Rows], task: TaskFormat) -> dict[str, Rows]:
    """Return a model's rows by part, with `leak`, `empty`, `cut` and `loops` (0 or 1) in each row that has an `answer`.

    Add the part `answers`: one row `{test, id, leak, empty, cut, loops}` per general answer of all tests.
    """
    flagged: dict[str, Rows] = {
        test: [{**row, **_flag_answer(row, task)} for row in rows[test]]
        for test in TESTS
        if rows.get(test) and "answer" in rows[test][0]
    }
    all_answers = [
        {"test": test, "id": row["id"], **{flag: row[flag] for flag in FLAGS}}
        for test, test_rows in flagged.items()
        for row in test_rows
    ]
    return {**rows, **flagged, **({ANSWERS: all_answers} if all_answers else {})}


def _flag_answer(row: Row, task: TaskFormat) -> dict[str, int]:
    # `unparsed` is 0 if the answer to a multiple-choice question names one of the choices.
    return flag_answer(row["answer"], task, cut=bool(row.get("cut")), is_choice=row.get("unparsed") == 0)


def add_leakage(metrics: Row, rows: dict[str, Rows]) -> Row:
    """Return a model's metrics with `leak`, `answers` and the `leak` of each test; `rows` are from `flag_answers`."""
    if ANSWERS not in rows:
        return metrics
    shares = {flag: _compute_share(rows[ANSWERS], flag) for flag in FLAGS}
    leak = shares.pop("leak")
    tests = {
        test: {**metrics.get(test, {}), "leak": _compute_share(rows[test], "leak")}
        for test in TESTS
        if rows.get(test) and "leak" in rows[test][0]
    }
    return {**metrics, **tests, "leak": leak, ANSWERS: {"n": len(rows[ANSWERS]), **shares}}


def _compute_share(rows: Rows, flag: str) -> float:
    return round(fmean(row[flag] for row in rows), 4)
