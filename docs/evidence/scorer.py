"""Print the table of docs/evidence/scorer.md: the article's score of answers with known errors.

    python -m docs.evidence.scorer

Every row is one comment of a taxonomy of two levels. It is scored at the last level by `compute_article_scores`, and by
whole paths in any order by `compute_scores`.
"""

from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath
from alloy.labeling.answer import render_answer
from alloy.scoring.article_score import compute_article_scores
from alloy.scoring.matching import compute_scores, count_matches

LEVELS = ("L1", "L2")
A, B, C, D = [("Setup", name) for name in ("Pairing", "Manual", "Cable", "Update")]
TWELVE = [("Price", f"Reason {number}") for number in range(12)]
INVENTED = [("Nothing", f"Made up {number}") for number in range(3)]

# Description, gold and prediction as text, gold, prediction.
CASES: list[tuple[str, str, str, list[LabelPath], list[LabelPath]]] = [
    ("nothing", "A, B, C", "A, B, C", [A, B, C], [A, B, C]),
    ("nothing, only the order differs", "A, B, C", "B, C, A", [A, B, C], [B, C, A]),
    ("the first segment is missed", "A, B, C, D", "B, C, D", [A, B, C, D], [B, C, D]),
    ("the last segment is missed", "A, B, C, D", "A, B, C", [A, B, C, D], [A, B, C]),
    ("three labels are invented", "A", "A and three invented labels", [A], [A, *INVENTED]),
    ("an invented label comes first", "A", "an invented label, A", [A], [INVENTED[0], A]),
    ("two of twelve are missed", "twelve labels", "the first ten", TWELVE, TWELVE[:10]),
    (
        "two of twelve are invented",
        "twelve labels",
        "the first ten and two invented labels",
        TWELVE,
        [*TWELVE[:10], *INVENTED[:2]],
    ),
    ("one label is predicted three times", "A, B", "A, A, A, B", [A, B], [A, A, A, B]),
    ("one of two equal labels is missed", "A, A, B", "A, B", [A, A, B], [A, B]),
    (
        "the leaf's parent is wrong",
        "Setup > Other",
        "Price > Other",
        [("Setup", "Other")],
        [("Price", "Other")],
    ),
    (
        "the leaf is wrong after its colon",
        "Setup > App: slow",
        "Setup > App: fast",
        [("Setup", "App: slow")],
        [("Setup", "App: fast")],
    ),
]


def score_comment(gold: list[LabelPath], predicted: list[LabelPath]) -> tuple[float, float, float, float]:
    """Return the article's F1, and order-free precision, recall and F1, of one comment."""
    texts = [render_answer(tuple(Segment(path) for path in paths), LEVELS) for paths in (gold, predicted)]
    nova = compute_article_scores(texts[:1], texts[1:], LEVELS)[LEVELS[-1]]["f1"]
    honest = compute_scores(count_matches([gold], [predicted]))
    return nova, honest.precision, honest.recall, honest.f1


def render_table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| what is wrong | gold | predicted | article's F1 | honest F1 | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, gold_text, predicted_text, gold, predicted in CASES:
        nova, precision, recall, f1 = score_comment(gold, predicted)
        lines.append(
            f"| {case} | {gold_text} | {predicted_text} | {nova:.3f} | {f1:.3f} | {precision:.3f} | {recall:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(render_table())
