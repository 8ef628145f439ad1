"""Items that only some of the models answered are left out for all of them."""

from alloy.comparison.answers import add_leakage, flag_answers
from alloy.comparison.common_items import keep_answered_prompts
from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.leakage import TaskFormat

TASK = TaskFormat.from_task(Taxonomy(("L1",), {("food",): ""}), {"has_content": False, "emotions": []})
LABELS = '[{"L1": "food"}]'


def make_row(identity: int, answer: str, finish: str = "stop") -> Row:
    return {"id": str(identity), "answer": answer, "finish": finish, "cut": 0}


def test_chat_prompts_that_one_model_did_not_answer_are_left_out_for_both() -> None:
    base = [make_row(0, "Paris"), make_row(1, "", "failed"), make_row(2, "Rome"), make_row(3, "Oslo")]
    tuned = [make_row(0, LABELS), make_row(1, LABELS), make_row(2, "", "refused"), make_row(3, "Oslo")]
    kept = keep_answered_prompts({"base": {"chat": base}, "tuned": {"chat": tuned, "voc": []}, "svm": {"voc": []}})
    assert {model: [row["id"] for row in parts.get("chat", [])] for model, parts in kept.items()} == {
        "base": ["0", "3"],
        "tuned": ["0", "3"],
        "svm": [],
    }
    metrics = add_leakage({"chat": {}}, flag_answers(kept["tuned"], TASK))
    assert (metrics["leak"], metrics["answers"]["n"], metrics["answers"]["empty"]) == (0.5, 2, 0.0)
