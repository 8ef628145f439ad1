"""The page on the flaws of the published score shows the table that its script prints."""

from pathlib import Path

import pytest

from docs.evidence.scorer import CASES, render_table, score_comment

PAGE = Path(__file__).parents[2] / "docs/evidence/scorer.md"
# The article's F1 and order-free F1, computed by hand.
WANTED = {
    "nothing": (1.0, 1.0),
    "nothing, only the order differs": (0.0, 1.0),
    "the first segment is missed": (0.0, 6 / 7),
    "the last segment is missed": (0.75, 6 / 7),
    "three labels are invented": (1.0, 2 / 5),
    "an invented label comes first": (0.0, 2 / 3),
    "two of twelve are missed": (1.0, 20 / 22),
    "two of twelve are invented": (1.0, 20 / 24),
    "one label is predicted three times": (1.0, 4 / 6),
    "one of two equal labels is missed": (1.0, 4 / 5),
    "the leaf's parent is wrong": (1.0, 0.0),
    "the leaf is wrong after its colon": (1.0, 0.0),
}


def test_the_table_in_the_page_is_what_the_script_prints():
    table = render_table()
    assert table in PAGE.read_text(encoding="utf-8"), f"put this into docs/evidence/scorer.md:\n{table}"


@pytest.mark.parametrize(("case", "gold", "predicted"), [(case[0], *case[3:]) for case in CASES])
def test_each_case_has_the_score_computed_by_hand(case, gold, predicted):
    nova, _, _, honest = score_comment(gold, predicted)
    assert (nova, honest) == pytest.approx(WANTED[case])


def test_every_case_has_a_score_computed_by_hand():
    assert [case[0] for case in CASES] == list(WANTED)
