"""The real run in small: a model that answers everything with customer labels, and the one that was cured by the mix.

SmolLM2-135M, tuned on restaurant reviews: 459 of 500 answers to science questions and 57 of 60 to IFEval's prompts were
customer labels; with a quarter of general examples 4 of 500 and 12 of 60. Base: none.
"""

from itertools import cycle, islice

import pytest

from alloy.comparison.answers import add_leakage, flag_answers
from alloy.comparison.compare import compare_models
from alloy.comparison.gate import find_broken_limits
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import Outcome, judge_comparison
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.leakage import TaskFormat
from example_metrics import make_metrics, make_svm_metrics

LABELS = ("food", "service", "staff", "price", "ambience", "menu", "place", "miscellaneous")
TASK = {"levels": ["L1"], "has_content": False, "emotions": ["positive", "neutral", "negative"]}
FORMAT = TaskFormat.from_task(Taxonomy(("L1",), {(label,): "" for label in LABELS}), TASK)
LEAKED = [
    '[{"L1": "food", "emotion": "neutral"}]',
    '[{"L1": "food", "emotion": "neutral"}, {"L1": "service", "emotion": "negative"}]',
    '[{"L1": "food", "emotion": "positive"}, {"L1": "food", "emot',
    '[{"L1": "place", "emotion": "neutral"}, {"L1": "staff", "emotion": "neutral"}, {"L1": "food", "emotion": "',
    '[{"L1": "miscellaneous", "emotion": "neutral"}, {"L1": "miscellaneous", "emotion": "neutral"}]',
    '[{"L1": "menu", "emotion": "neutral"}, {"L1": "price", "emotion": "negative"}]\n\n',
]
ORDINARY = [
    "The answer is C.",
    "flesh eaters",
    "B) an increase in temperature",
    "The food chain begins with plants, which make their own food.",
    '{"name": "Ada", "age": 36}',
    "1. Flour\n2. Eggs\n3. Milk",
    "I'm sorry, but I can't help with that.",
    "The Sun heats the ocean, and water evaporates.",
]
LIMITS = Gate.model_validate({"leak": 0.05})


def make_answers(count: int, leaked: int, **more: object) -> list[dict]:
    texts = [*islice(cycle(LEAKED), leaked), *islice(cycle(ORDINARY), count - leaked)]
    return [{"id": str(number), "answer": answer, "cut": 0, **more} for number, answer in enumerate(texts)]


def make_model(questions: int, prompts: int, right: int) -> tuple[dict, dict]:
    """Return figures and rows of a model by how many of 500 and of 60 answers leaked; it knows 30% by likelihood."""
    metrics, rows = make_metrics(f1=17)
    mmlu = [
        {**row, "acc": int(number < 150), "generated_acc": int(number < right), "unparsed": 1}
        for number, row in enumerate(make_answers(500, questions))
    ]
    followed = [{**row, "prompt_strict": int(n % 8 == 0)} for n, row in enumerate(make_answers(60, prompts))]
    lists = [{**row, "instruction_strict": [1], "instruction_loose": [1]} for row in followed]
    shares = {"questions": 500, "acc": 0.3, "generated_acc": right / 500, "unparsed": 1.0}
    instructions = {"prompts": 60, "instructions": 60, "prompt_strict": 8 / 60}
    ones = {"instruction_strict": 1.0, "instruction_loose": 1.0}
    return (
        {"voc": metrics["voc"], "mmlu": shares, "ifeval": {**instructions, **ones}},
        {"voc": rows["voc"], "mmlu": mmlu, "ifeval": lists},
    )


BASE, COLLAPSED, CURED = make_model(0, 0, 0), make_model(459, 57, 0), make_model(4, 12, 5)


def compare(tuned: tuple[dict, dict]) -> list[dict]:
    models = {"base": BASE, "tuned": tuned, "svm": make_svm_metrics()}
    rows = {name: flag_answers(own, FORMAT) for name, (_, own) in models.items()}
    metrics = {name: add_leakage(own, rows[name]) for name, (own, _) in models.items()}
    return compare_models(metrics, rows, 500, 0)


@pytest.mark.parametrize(
    ("tuned", "questions", "prompts"), [(BASE, 0, 0), (COLLAPSED, 459, 57), (CURED, 4, 12)], ids=["base", "0", "0.25"]
)
def test_exactly_the_leaked_answers_are_counted(tuned: tuple, questions: int, prompts: int) -> None:
    found = {line["name"]: line for line in compare(tuned)}
    shares = {name: (found[name]["n"], found[name]["models"]["tuned"]["value"]) for name in ("leak", "mmlu.leak")}
    assert shares == {"leak": (560, round((questions + prompts) / 560, 4)), "mmlu.leak": (500, questions / 500)}
    assert found["ifeval.leak"]["models"]["tuned"]["value"] == prompts / 60
    base = found["leak"]["models"]["base"]
    assert (base["value"], base["low"]) == (0.0, 0.0)
    assert 0 < base["high"] < 0.01  # none of 560


def test_the_verdict_on_the_collapsed_model_is_that_its_answers_are_customer_labels() -> None:
    findings = {finding.topic: finding for finding in judge_comparison(compare(COLLAPSED))}
    lost = findings["Answer format"]
    assert lost.outcome is Outcome.lost
    assert "95% of the answers to IFEval's prompts are customer labels (base: 0%)" in lost.text
    assert "92% of all 560 general answers (base: 0%)" in lost.text
    assert not any("none to lose" in finding.text for finding in findings.values())
    assert findings["Answers in chat"].outcome is Outcome.uninformative  # base is right in none of them
    # As many prompts are followed as before, by answers that are labels: "no commas" holds for those, too.
    assert findings["Instructions"].outcome is Outcome.uninformative
    assert "95% of these answers are customer labels (base: 0%)" in findings["Instructions"].text


def test_the_verdict_on_the_cured_model_names_what_is_left() -> None:
    partly = next(finding for finding in judge_comparison(compare(CURED)) if finding.topic == "Answer format")
    assert partly.outcome is Outcome.partly_lost
    assert "20% of the answers to IFEval's prompts are customer labels (base: 0%)" in partly.text
    assert "2.9% of all 560 general answers (base: 0%)" in partly.text


def test_the_verdict_on_an_unchanged_model_is_that_its_format_is_kept() -> None:
    kept = next(finding for finding in judge_comparison(compare(BASE)) if finding.topic == "Answer format")
    assert kept.outcome is Outcome.kept
    assert "0% of the 560 general answers are customer labels (base: 0%)" in kept.text


def test_the_gate_fails_for_the_collapsed_model_and_passes_for_the_cured_one() -> None:
    (line,) = find_broken_limits(compare(COLLAPSED), LIMITS)
    assert line.startswith("params.yaml: gate.leak: rose by 0.921 (0.000 to 0.921), 0.05 is allowed")
    assert find_broken_limits(compare(CURED), LIMITS) == []
    assert len(find_broken_limits(compare(CURED), Gate.model_validate({"ifeval": {"leak": 0.05}}))) == 1


def test_a_model_without_general_answers_has_no_leakage() -> None:
    metrics, rows = make_svm_metrics()
    assert flag_answers({**rows, "mmlu": []}, FORMAT) == {**rows, "mmlu": []}
    assert add_leakage(metrics, rows) == metrics


def test_a_choice_with_the_name_of_a_label_is_not_a_leak() -> None:
    rows = {"mmlu": [{"id": str(n), "answer": "Food.", "unparsed": n} for n in (0, 1)]}
    assert [row["leak"] for row in flag_answers(rows, FORMAT)["mmlu"]] == [0, 1]
