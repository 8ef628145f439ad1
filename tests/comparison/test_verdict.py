"""The findings of a comparison, and the gate at, above and below its limits."""

import re

import pytest

from alloy.comparison.gate import find_exceeded_limits
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import Finding, Outcome, format_percent, judge_comparison, render_findings
from example_metrics import compare, make_metrics, make_svm_metrics


def make_gate(limits: dict[str, float]) -> Gate:
    """Return a gate with these limits by metric name."""
    parts: dict[str, dict[str, float]] = {}
    for name, limit in limits.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = limit
    return Gate.model_validate(parts)


ZERO_LIMITS = {"mmlu.acc": 0.0, "mmlu.generated_acc": 0.0, "ifeval.prompt_strict": 0.0}


def judge(tuned, base=None, svm=None) -> dict[str, Finding]:
    return {finding.topic: finding for finding in judge_comparison(compare(tuned, base, svm))}


def list_percents(finding: Finding) -> list[str]:
    """Return the percentages in the text of a finding."""
    return re.findall(r"[\d.]+%", finding.text)


def make_line(name: str, base: float, tuned: float, change: tuple[float, float], n: int | None = 100) -> dict:
    """Return a line of the comparison with the interval of its change."""
    models = {"base": {"value": base}, "tuned": {"value": tuned}}
    difference = {"value": tuned - base, "low": change[0], "high": change[1]}
    return {"name": name, "title": name, "n": n, "models": models, "change": difference, "over_svm": None}


def test_a_model_that_answers_in_customer_labels_has_lost_the_format_and_kept_its_knowledge() -> None:
    findings = judge(make_metrics(acc=79, generated=0, unparsed=96, leak=96))
    assert findings["Knowledge"].outcome is Outcome.kept
    assert list_percents(findings["Knowledge"])[:2] == ["79%", "80%"]
    assert findings["Answer format"].outcome is Outcome.worse
    assert list_percents(findings["Answer format"])[:2] == ["96%", "0%"]
    assert "customer labels" in findings["Answer format"].text
    assert findings["Answers in chat"].outcome is Outcome.worse


def test_answers_without_a_choice_are_a_lost_format_even_if_they_are_not_labels() -> None:
    finding = judge(make_metrics(unparsed=60))["Answer format"]
    assert finding.outcome is Outcome.worse
    assert list_percents(finding) == ["0%", "0%", "60%", "1.0%"]  # of the 212 general answers, and of the questions
    assert "212" in finding.text


def test_a_model_that_knows_less_has_lost_knowledge_and_kept_the_format() -> None:
    findings = judge(make_metrics(acc=40, generated=35))
    assert (findings["Knowledge"].outcome, findings["Answer format"].outcome) == (Outcome.worse, Outcome.kept)
    assert list_percents(findings["Knowledge"])[:2] == ["40%", "80%"]


def test_if_the_base_model_guesses_in_a_test_another_test_is_named() -> None:
    base = make_metrics(acc=28, generated=0, unparsed=97)
    findings = judge(make_metrics(acc=22, generated=0, unparsed=100), base=base)
    assert findings["Knowledge"].outcome is Outcome.inconclusive
    percents = list_percents(findings["Knowledge"])
    assert (percents[:2], percents[-1]) == (["28%", "95%"], "25%")  # the base model, its interval, and guessing
    assert "loss on general text" in findings["Knowledge"].text
    assert list_percents(findings["Answer format"])[-1] == "97%"


def test_a_base_model_without_the_format_does_not_hide_leakage() -> None:
    silent = make_metrics(generated=0, unparsed=100)
    finding = judge(make_metrics(generated=0, unparsed=100, leak=50), base=silent)["Answer format"]
    assert finding.outcome is Outcome.worse
    assert list_percents(finding)[:2] == ["50%", "0%"]
    assert "customer labels" in finding.text


@pytest.mark.parametrize(
    ("chance", "outcome"), [(None, Outcome.kept), (0.25, Outcome.kept), (0.55, Outcome.inconclusive)]
)
def test_the_chance_level_of_the_test_is_used_if_it_is_known(chance: float | None, outcome: Outcome) -> None:
    compared = compare(make_metrics(acc=60), base=make_metrics(acc=60))
    next(line for line in compared if line["name"] == "mmlu.acc")["chance"] = chance
    knowledge = next(finding for finding in judge_comparison(compared) if finding.topic == "Knowledge")
    assert knowledge.outcome is outcome
    assert ("55%" in list_percents(knowledge)) is (outcome is Outcome.inconclusive)


def test_a_significant_rise_is_a_gain() -> None:
    assert judge(make_metrics(acc=99))["Knowledge"].outcome is Outcome.better


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.2, -0.01, Outcome.worse),
        (0.01, 0.2, Outcome.better),
        (-0.04, 0.2, Outcome.kept),  # a loss of more than 0.05 is excluded
        (-0.06, 0.2, Outcome.unclear),
        (-0.06, 0.0, Outcome.unclear),
    ],
)
def test_an_interval_that_contains_0_is_not_distinguishable(low: float, high: float, outcome: Outcome) -> None:
    knowledge = make_line("mmlu.acc", 0.8, 0.8 + (low + high) / 2, (low, high))
    findings = {
        finding.topic: finding for finding in judge_comparison([make_line("voc.f1", 0.1, 0.5, (0.3, 0.5)), knowledge])
    }
    assert findings["Knowledge"].outcome is outcome


def test_fewer_than_thirty_items_are_too_few_for_a_verdict() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5), n=29)
    lines = [task, *(make_line(name, 0.8, 0.1, (-0.8, -0.6), n=29) for name in ("mmlu.acc", "ifeval.prompt_strict"))]
    findings = judge_comparison([*lines, make_line("leak", 0.0, 1.0, (1.0, 1.0), n=12)])
    assert [finding.outcome for finding in findings] == [Outcome.too_few] * 4
    assert findings[1].text.startswith("12 ")


def test_twelve_chat_prompts_have_no_verdict_but_count_among_all_answers() -> None:
    finding = judge(make_metrics(chat=12))["Answer format"]
    assert finding.outcome is Outcome.worse  # 12 of 212; the base model has none
    assert list_percents(finding)[:2] == ["5.7%", "0%"]
    assert "212" in finding.text
    assert "chat prompts" not in finding.text


def test_an_increase_of_empty_answers_is_named() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5))
    answers = [
        make_line("answers.empty", 0.0, 0.3, (0.2, 0.4)),
        make_line("answers.loops", 0.01, 0.02, (0.005, 0.03)),
    ]
    findings = {
        finding.topic: finding
        for finding in judge_comparison([task, make_line("leak", 0.0, 0.0, (0.0, 0.0)), *answers])
    }
    assert findings["Answer format"].outcome is Outcome.kept
    assert list_percents(findings["Answers"]) == ["30%", "0%"]
    assert "empty" in findings["Answers"].text


def test_the_score_with_emotions_is_the_headline_if_it_exists() -> None:
    paths, full = make_line("voc.f1", 0.2, 0.8, (0.5, 0.7)), make_line("voc.f1_full", 0.05, 0.48, (0.4, 0.5))
    (finding,) = judge_comparison([paths, full])
    assert re.findall(r"\d\.\d+", finding.text) == ["0.480", "0.050", "0.800", "0.200"]
    assert finding.outcome is Outcome.better


def test_a_higher_loss_on_general_text_is_a_loss() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5))
    findings = judge_comparison(
        [task, make_line("loss.general", 3.15, 3.2, (0.04, 0.06)), make_line("loss.kl", 0.0, 0.08, (0.07, 0.09))]
    )
    assert findings[1].outcome is Outcome.worse
    values = re.findall(r"\b\d\.\d+", findings[1].text)
    assert (values[:2], values[-1]) == (["3.200", "3.150"], "0.080")


@pytest.mark.parametrize(
    ("svm", "value", "words"),
    [
        (10, "0.100", "tuned model is better"),
        (50, "0.500", "not distinguishable"),
        (90, "0.900", "SVM is better"),
    ],
)
def test_the_task_is_compared_with_the_svm(svm: int, value: str, words: str) -> None:
    text = judge(make_metrics(f1=50), svm=make_svm_metrics(svm))["Task"].text
    assert re.findall(r"\d\.\d+", text) == ["0.500", "0.100", value]
    assert words in text


def test_instructions_are_lost_or_kept() -> None:
    worse, equal = judge(make_metrics(ifeval=20))["Instructions"], judge(make_metrics())["Instructions"]
    assert (worse.outcome, equal.outcome) == (Outcome.worse, Outcome.kept)
    assert list_percents(worse)[:2] == ["20%", "60%"]


def test_without_a_tuned_model_there_is_nothing_to_compare() -> None:
    assert judge_comparison(compare(({}, {}), base=make_svm_metrics())) == []
    assert len(render_findings([]).splitlines()) == 1


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0%"), (0.008, "0.8%"), (0.0286, "2.9%"), (0.0996, "10%"), (0.92, "92%"), (0.998, "99.8%"), (1.0, "100%")],
)
def test_shares_are_shown_as_percentages(share: float, shown: str) -> None:
    assert format_percent(share) == shown


def test_without_a_gate_every_comparison_passes() -> None:
    assert find_exceeded_limits(compare(make_metrics(acc=0, generated=0, ifeval=0)), Gate()) == []


@pytest.mark.parametrize(("lost", "passes"), [(6, False), (5, True), (4, True), (0, True), (-9, True)])
def test_the_gate_breaks_above_its_limit(lost: int, passes: bool) -> None:
    for gate, tuned in (
        (make_gate({"mmlu.acc": 0.05}), make_metrics(acc=80 - lost)),
        (make_gate({"mmlu.generated_acc": 0.05}), make_metrics(generated=70 - lost)),
        (
            make_gate({"mmlu.unparsed": 0.05}),
            make_metrics(unparsed=1 + lost) if lost >= 0 else make_metrics(unparsed=0),
        ),
        (make_gate({"ifeval.prompt_strict": 0.05}), make_metrics(ifeval=60 - lost)),
        (make_gate({"voc.f1": 0.05}), make_metrics(f1=10 - lost)),
        (make_gate({"general.gsm8k acc": 0.05}), make_metrics(**{"gsm8k acc": round(0.5 - lost / 100, 2)})),
    ):
        base = make_metrics(**{"gsm8k acc": 0.5})
        assert (not find_exceeded_limits(compare(tuned, base=base), gate)) is passes


def test_a_gate_of_0_allows_no_loss() -> None:
    assert find_exceeded_limits(compare(make_metrics()), make_gate(ZERO_LIMITS)) == []
    assert len(find_exceeded_limits(compare(make_metrics(acc=79)), make_gate(ZERO_LIMITS))) == 1


def test_every_broken_limit_has_a_line_with_its_fix() -> None:
    lines = find_exceeded_limits(
        compare(make_metrics(acc=70, generated=10, ifeval=30)),
        make_gate({"mmlu.acc": 0.05, "mmlu.generated_acc": 0.2, "ifeval.prompt_strict": 0.1}),
    )
    expected = [
        ("mmlu.acc", ["0.100", "0.800", "0.700", "0.05"]),
        ("mmlu.generated_acc", ["0.600", "0.700", "0.100", "0.2"]),
        ("ifeval.prompt_strict", ["0.300", "0.600", "0.300", "0.1"]),
    ]
    for line, (name, values) in zip(lines, expected, strict=True):
        assert line.startswith(f"params.yaml: gate.{name}: ")
        assert re.findall(r"\d\.\d+", line) == values
        assert all(key in line.partition(";")[2] for key in ("mix.ratio", "train.lr"))


@pytest.mark.parametrize("lost", [0, 50])
@pytest.mark.parametrize("items", [29, 30])
def test_a_limit_is_not_checked_with_too_few_items(lost: int, items: int) -> None:
    lines = compare(make_metrics(acc=80 - lost))
    for line in lines:
        line["n"] = items
    broken = find_exceeded_limits(lines, make_gate({"mmlu.acc": 0.05}))
    if items < 30:
        (found,) = broken
        assert "got 29;" in found
        assert found.startswith("params.yaml: gate.mmlu.acc: expected at least 30 items")
    else:
        assert len(broken) == (lost > 0)


def test_without_a_trained_model_no_limit_is_broken() -> None:
    assert find_exceeded_limits(compare(({}, {}), base=make_svm_metrics()), make_gate(ZERO_LIMITS)) == []
