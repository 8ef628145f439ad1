"""Leakage with the counts of a real run: a model that answers with customer labels, and a model tuned on a mix.

SmolLM2-135M, tuned on restaurant reviews: 459 of 500 answers to science questions and 57 of 60 to IFEval's prompts were
customer labels; with a quarter of general examples 4 of 500 and 12 of 60. The base model: none.
"""

import re
from itertools import cycle, islice

import pytest

from alloy.comparison.answers import add_leakage, flag_answers
from alloy.comparison.compare import compare_models
from alloy.comparison.gate import find_exceeded_limits
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import Finding, Outcome, judge_comparison
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.leakage import TaskFormat
from example_metrics import make_metrics, make_svm_metrics

LABELS = ("food", "service", "staff", "price", "ambience", "menu", "place", "miscellaneous")
TASK = {"levels": ["L1"], "has_content": False, "emotions": ["positive", "neutral", "negative"]}
FORMAT = TaskFormat.from_task(Taxonomy(("L1",), {(label,): "" for label in LABELS}), TASK)
LEAKED_ANSWERS = [
    '[{"L1": "food", "emotion": "neutral"}]',
    '[{"L1": "food", "emotion": "neutral"}, {"L1": "service", "emotion": "negative"}]',
    '[{"L1": "food", "emotion": "positive"}, {"L1": "food", "emot',
    '[{"L1": "place", "emotion": "neutral"}, {"L1": "staff", "emotion": "neutral"}, {"L1": "food", "emotion": "',
    '[{"L1": "miscellaneous", "emotion": "neutral"}, {"L1": "miscellaneous", "emotion": "neutral"}]',
    '[{"L1": "menu", "emotion": "neutral"}, {"L1": "price", "emotion": "negative"}]\n\n',
]
ORDINARY_ANSWERS = [
    "The answer is C.",
    "flesh eaters",
    "B) an increase in temperature",
    "The food chain begins with plants, which make their own food.",
    '{"name": "Ada", "age": 36}',
    "1. Flour\n2. Eggs\n3. Milk",
    "I'm sorry, but I can't help with that.",
    "The Sun heats the ocean, and water evaporates.",
]
GATE = Gate.model_validate({"leak": 0.05})


def make_answers(count: int, leaked: int, **fields: object) -> list[dict]:
    texts = [*islice(cycle(LEAKED_ANSWERS), leaked), *islice(cycle(ORDINARY_ANSWERS), count - leaked)]
    return [{"id": str(number), "answer": answer, "cut": 0, **fields} for number, answer in enumerate(texts)]


def make_model(questions: int, prompts: int, correct: int) -> tuple[dict, dict]:
    """Return metrics and rows of a model by how many of 500 and of 60 answers leaked; it knows 30% by likelihood."""
    metrics, rows = make_metrics(f1=17)
    mmlu = [
        {**row, "acc": int(number < 150), "generated_acc": int(number < correct), "unparsed": 1}
        for number, row in enumerate(make_answers(500, questions))
    ]
    followed = [{**row, "prompt_strict": int(n % 8 == 0)} for n, row in enumerate(make_answers(60, prompts))]
    lists = [{**row, "instruction_strict": [1], "instruction_loose": [1]} for row in followed]
    shares = {"questions": 500, "acc": 0.3, "generated_acc": correct / 500, "unparsed": 1.0}
    instructions = {"prompts": 60, "instructions": 60, "prompt_strict": 8 / 60}
    ones = {"instruction_strict": 1.0, "instruction_loose": 1.0}
    return (
        {"voc": metrics["voc"], "mmlu": shares, "ifeval": {**instructions, **ones}},
        {"voc": rows["voc"], "mmlu": mmlu, "ifeval": lists},
    )


BASE, COLLAPSED, MIXED = make_model(0, 0, 0), make_model(459, 57, 0), make_model(4, 12, 5)


def compare(tuned: tuple[dict, dict]) -> list[dict]:
    models = {"base": BASE, "tuned": tuned, "svm": make_svm_metrics()}
    rows = {name: flag_answers(unflagged, FORMAT) for name, (_, unflagged) in models.items()}
    metrics = {name: add_leakage(values, rows[name]) for name, (values, _) in models.items()}
    return compare_models(metrics, rows, resamples=500, seed=0)


def list_percents(finding: Finding) -> list[str]:
    """Return the percentages in the text of a finding."""
    return re.findall(r"[\d.]+%", finding.text)


@pytest.mark.parametrize(
    ("tuned", "questions", "prompts"), [(BASE, 0, 0), (COLLAPSED, 459, 57), (MIXED, 4, 12)], ids=["base", "0", "0.25"]
)
def test_exactly_the_leaked_answers_are_counted(tuned: tuple, questions: int, prompts: int) -> None:
    lines = {line["name"]: line for line in compare(tuned)}
    shares = {name: (lines[name]["n"], lines[name]["models"]["tuned"]["value"]) for name in ("leak", "mmlu.leak")}
    assert shares == {"leak": (560, round((questions + prompts) / 560, 4)), "mmlu.leak": (500, questions / 500)}
    assert lines["ifeval.leak"]["models"]["tuned"]["value"] == prompts / 60
    base = lines["leak"]["models"]["base"]
    assert (base["value"], base["low"]) == (0.0, 0.0)
    assert 0 < base["high"] < 0.01  # none of 560


def test_the_collapsed_model_has_lost_its_answer_format_to_customer_labels() -> None:
    findings = {finding.topic: finding for finding in judge_comparison(compare(COLLAPSED))}
    answer_format = findings["Answer format"]
    assert answer_format.outcome is Outcome.worse
    assert list_percents(answer_format)[:4] == ["95%", "0%", "92%", "0%"]  # IFEval, and all answers
    assert "560" in answer_format.text
    assert findings["Answers in chat"].outcome is Outcome.inconclusive  # the base model answers none of them right
    # As many prompts are followed as before, since labels also follow instructions such as "no commas".
    assert findings["Instructions"].outcome is Outcome.inconclusive
    assert "95%" in list_percents(findings["Instructions"])


def test_the_mixed_model_has_partly_lost_its_answer_format() -> None:
    answer_format = next(finding for finding in judge_comparison(compare(MIXED)) if finding.topic == "Answer format")
    assert answer_format.outcome is Outcome.partly_worse
    assert list_percents(answer_format)[:4] == ["20%", "0%", "2.9%", "0%"]  # IFEval, and all answers
    assert "560" in answer_format.text


def test_an_unchanged_model_has_kept_its_answer_format() -> None:
    answer_format = next(finding for finding in judge_comparison(compare(BASE)) if finding.topic == "Answer format")
    assert answer_format.outcome is Outcome.kept
    assert list_percents(answer_format)[:2] == ["0%", "0%"]
    assert "560" in answer_format.text


def test_the_gate_fails_for_the_collapsed_model_and_passes_for_the_mixed_one() -> None:
    (line,) = find_exceeded_limits(compare(COLLAPSED), GATE)
    assert line.startswith("params.yaml: gate.leak: ")
    assert re.findall(r"\d\.\d+", line) == ["0.921", "0.000", "0.921", "0.05"]
    assert find_exceeded_limits(compare(MIXED), GATE) == []
    assert len(find_exceeded_limits(compare(MIXED), Gate.model_validate({"ifeval": {"leak": 0.05}}))) == 1


def test_a_model_without_general_answers_has_no_leakage() -> None:
    metrics, rows = make_svm_metrics()
    assert flag_answers({**rows, "mmlu": []}, FORMAT) == {**rows, "mmlu": []}
    assert add_leakage(metrics, rows) == metrics


def test_a_choice_with_the_name_of_a_label_is_not_a_leak() -> None:
    rows = {"mmlu": [{"id": str(n), "answer": "Food.", "unparsed": n} for n in (0, 1)]}
    assert [row["leak"] for row in flag_answers(rows, FORMAT)["mmlu"]] == [0, 1]
