"""All generated answers to general questions, of all tests together, and how many of them are in the task's format.

Leakage needs the customer's taxonomy, of which the stages that ask general questions know nothing: it is computed from
the answers that they wrote.
"""

from statistics import fmean

from alloy.comparison.metrics import ANSWERS, TESTS
from alloy.core.files import Row
from alloy.labelling.leakage import TaskFormat, judge_answer

FLAGS = ("leak", "empty", "cut", "loops")
Rows = list[Row]


def judge_answers(rows: dict[str, Rows], task: TaskFormat) -> dict[str, Rows]:
    """Return a model's rows by part: those with an `answer` get `leak`, `empty`, `cut` and `loops`, each 0 or 1.

    The part `answers` is added: `{test, id, leak, empty, cut, loops}` per general answer.
    """
    judged: dict[str, Rows] = {
        test: [{**row, **_judged(row, task)} for row in rows[test]]
        for test in TESTS
        if rows.get(test) and "answer" in rows[test][0]
    }
    together = [
        {"test": test, "id": row["id"], **{flag: row[flag] for flag in FLAGS}}
        for test, own in judged.items()
        for row in own
    ]
    return {**rows, **judged, **({ANSWERS: together} if together else {})}


def _judged(row: Row, task: TaskFormat) -> dict[str, int]:
    # `unparsed` is 0 where the answer to a multiple-choice question was read as one of the choices.
    return judge_answer(row["answer"], task, cut=bool(row.get("cut")), is_choice=row.get("unparsed") == 0)


def with_leakage(figures: Row, judged: dict[str, Rows]) -> Row:
    """Return a model's metrics with `leak`, `answers` and the `leak` of each test, of what `judge_answers` returned."""
    if ANSWERS not in judged:
        return figures
    shares = {flag: _share(judged[ANSWERS], flag) for flag in FLAGS}
    leak = shares.pop("leak")
    tests = {
        test: {**figures.get(test, {}), "leak": _share(judged[test], "leak")}
        for test in TESTS
        if judged.get(test) and "leak" in judged[test][0]
    }
    return {**figures, **tests, "leak": leak, ANSWERS: {"n": len(judged[ANSWERS]), **shares}}


def _share(rows: Rows, flag: str) -> float:
    return round(fmean(row[flag] for row in rows), 4)
