"""The comparison in words, and the gate at, above and below its limits."""

import re

import pytest

from alloy.comparison.gate import find_broken_limits
from alloy.comparison.settings import Gate
from alloy.comparison.verdict import Finding, Outcome, format_percent, judge_comparison, render_findings
from example_metrics import compare, make_metrics, make_svm_metrics


def make_gate(limits: dict[str, float]) -> Gate:
    """Return the gate with limits by the names of metrics."""
    parts: dict[str, dict[str, float]] = {}
    for name, limit in limits.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = limit
    return Gate.model_validate(parts)


NOTHING = {"mmlu.acc": 0.0, "mmlu.generated_acc": 0.0, "ifeval.prompt_strict": 0.0}


def judge(tuned, base=None, svm=None) -> dict[str, Finding]:
    return {finding.topic: finding for finding in judge_comparison(compare(tuned, base, svm))}


def make_line(name: str, base: float, tuned: float, change: tuple[float, float], n: int | None = 100) -> dict:
    """Return a line of the comparison, with the interval of its change."""
    models = {"base": {"value": base}, "tuned": {"value": tuned}}
    difference = {"value": tuned - base, "low": change[0], "high": change[1]}
    return {"name": name, "n": n, "models": models, "change": difference, "over_svm": None}


def test_a_model_that_answers_in_customer_labels_has_lost_the_format_and_not_what_it_knows() -> None:
    found = judge(make_metrics(acc=79, generated=0, unparsed=96, leak=96))
    assert found["Knowledge"].outcome is Outcome.kept
    assert "79% of the questions are answered right (base: 80%)" in found["Knowledge"].text
    assert found["Answer format"].outcome is Outcome.lost
    assert (
        "96% of the answers to multiple-choice questions are customer labels (base: 0%)" in found["Answer format"].text
    )
    assert found["Answers in chat"].outcome is Outcome.lost


def test_answers_without_a_choice_are_a_lost_format_even_if_they_are_not_labels() -> None:
    found = judge(make_metrics(unparsed=60))["Answer format"]
    assert found.outcome is Outcome.lost
    assert "60% of the answers to multiple-choice questions name none of the choices (base: 1.0%)" in found.text
    assert "0% of the 212 general answers are customer labels (base: 0%)" in found.text


def test_a_model_that_knows_less_has_lost_knowledge_and_kept_the_format() -> None:
    found = judge(make_metrics(acc=40, generated=35))
    assert (found["Knowledge"].outcome, found["Answer format"].outcome) == (Outcome.lost, Outcome.kept)
    assert "40% of the questions are answered right (base: 80%)" in found["Knowledge"].text


def test_if_base_guesses_in_a_test_another_test_is_named() -> None:
    base = make_metrics(acc=28, generated=0, unparsed=97)
    found = judge(make_metrics(acc=22, generated=0, unparsed=100), base=base)
    assert found["Knowledge"].outcome is Outcome.uninformative
    assert "base answers 28% of the questions right (95% interval: " in found["Knowledge"].text
    assert "guessing gives 25%" in found["Knowledge"].text
    assert "the loss on general text" in found["Knowledge"].text
    assert re.search(r"\bBase\b.* 97% of its answers", found["Answer format"].text)


def test_base_with_no_format_to_lose_does_not_hide_leakage() -> None:
    silent = make_metrics(generated=0, unparsed=100)
    found = judge(make_metrics(generated=0, unparsed=100, leak=50), base=silent)["Answer format"]
    assert found.outcome is Outcome.lost
    assert "50% of the answers to multiple-choice questions are customer labels (base: 0%)" in found.text


@pytest.mark.parametrize(
    ("chance", "kind"), [(None, Outcome.kept), (0.25, Outcome.kept), (0.55, Outcome.uninformative)]
)
def test_chance_is_that_of_the_test_if_it_is_known(chance: float | None, kind: Outcome) -> None:
    compared = compare(make_metrics(acc=60), base=make_metrics(acc=60))
    next(line for line in compared if line["name"] == "mmlu.acc")["chance"] = chance
    found = next(finding for finding in judge_comparison(compared) if finding.topic == "Knowledge")
    assert found.outcome is kind
    assert ("guessing gives 55%" in found.text) is (kind is Outcome.uninformative)


def test_a_significant_rise_is_a_gain() -> None:
    assert judge(make_metrics(acc=99))["Knowledge"].outcome is Outcome.gained


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (-0.2, -0.01, Outcome.lost),
        (0.01, 0.2, Outcome.gained),
        (-0.04, 0.2, Outcome.kept),  # a loss of more than 0.05 is excluded
        (-0.06, 0.2, Outcome.unclear),
        (-0.06, 0.0, Outcome.unclear),
    ],
)
def test_an_interval_that_contains_0_is_not_distinguishable(low: float, high: float, kind: Outcome) -> None:
    known = make_line("mmlu.acc", 0.8, 0.8 + (low + high) / 2, (low, high))
    found = {finding.topic: finding for finding in judge_comparison([make_line("voc.f1", 0.1, 0.5, (0.3, 0.5)), known])}
    assert found["Knowledge"].outcome is kind


def test_less_than_thirty_items_are_too_few_for_a_verdict() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5), n=29)
    few = [task, *(make_line(name, 0.8, 0.1, (-0.8, -0.6), n=29) for name in ("mmlu.acc", "ifeval.prompt_strict"))]
    findings = judge_comparison([*few, make_line("leak", 0.0, 1.0, (1.0, 1.0), n=12)])
    assert [finding.outcome for finding in findings] == [Outcome.too_few] * 4
    assert "12 general answers" in findings[1].text


def test_twelve_chat_prompts_are_too_few_alone_but_count_among_all_answers() -> None:
    found = judge(make_metrics(chat=12))["Answer format"]
    assert found.outcome is Outcome.lost  # 12 of 212, and none before
    assert "5.7% of all 212 general answers are customer labels (base: 0%)" in found.text
    assert "chat prompts" not in found.text


def test_answers_that_became_empty_or_loop_are_named() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5))
    bad = [
        make_line("answers.empty", 0.0, 0.3, (0.2, 0.4)),
        make_line("answers.loops", 0.01, 0.02, (0.005, 0.03)),
    ]
    found = {f.topic: f for f in judge_comparison([task, make_line("leak", 0.0, 0.0, (0.0, 0.0)), *bad])}
    assert found["Answer format"].outcome is Outcome.kept
    assert found["Answers"].text == "30% of the general answers are empty (base: 0%)."


def test_the_score_with_emotions_is_the_headline_if_it_exists() -> None:
    paths, full = make_line("voc.f1", 0.2, 0.8, (0.5, 0.7)), make_line("voc.f1_full", 0.05, 0.48, (0.4, 0.5))
    (found,) = judge_comparison([paths, full])
    assert "F1 of paths with emotions 0.480 (base: 0.050). F1 of paths alone 0.800 (base: 0.200)." in found.text
    assert found.outcome is Outcome.gained


def test_a_loss_on_general_text_that_rises_is_a_loss() -> None:
    task = make_line("voc.f1", 0.1, 0.5, (0.3, 0.5))
    found = judge_comparison(
        [task, make_line("loss.general", 3.15, 3.2, (0.04, 0.06)), make_line("loss.kl", 0.0, 0.08, (0.07, 0.09))]
    )
    assert found[1].outcome is Outcome.lost
    assert "3.200 nats per token (base: 3.150)" in found[1].text
    assert "0.080 nats per token (KL)" in found[1].text


@pytest.mark.parametrize(
    ("svm", "words"),
    [
        (10, "A linear SVM has 0.100: the tuned model is better."),
        (50, "A linear SVM has 0.500: not distinguishable from the tuned model."),
        (90, "A linear SVM has 0.900: the SVM is better."),
    ],
)
def test_the_task_is_compared_with_the_svm(svm: int, words: str) -> None:
    assert judge(make_metrics(f1=50), svm=make_svm_metrics(svm))["Task"].text == f"F1 0.500 (base: 0.100). {words}"


def test_instructions_name_another_test_if_they_cannot_show_forgetting() -> None:
    lost, same = judge(make_metrics(ifeval=20))["Instructions"], judge(make_metrics())["Instructions"]
    assert (lost.outcome, same.outcome) == (Outcome.lost, Outcome.kept)
    assert "20% of IFEval's prompts are followed in full (base: 60%)" in lost.text


def test_without_a_tuned_model_there_is_nothing_to_compare() -> None:
    assert judge_comparison(compare(({}, {}), base=make_svm_metrics())) == []
    assert render_findings([]).startswith("Nothing was trained")


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0%"), (0.008, "0.8%"), (0.0286, "2.9%"), (0.0996, "10%"), (0.92, "92%"), (0.998, "99.8%"), (1.0, "100%")],
)
def test_shares_are_shown_as_percentages(share: float, shown: str) -> None:
    assert format_percent(share) == shown


def test_without_a_gate_anything_passes() -> None:
    assert find_broken_limits(compare(make_metrics(acc=0, generated=0, ifeval=0)), Gate()) == []


@pytest.mark.parametrize(("lost", "passes"), [(6, False), (5, True), (4, True), (0, True), (-9, True)])
def test_the_gate_breaks_above_its_limit(lost: int, passes: bool) -> None:
    for own, tuned in (
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
        assert (not find_broken_limits(compare(tuned, base=base), own)) is passes


def test_a_gate_of_0_allows_no_loss() -> None:
    assert find_broken_limits(compare(make_metrics()), make_gate(NOTHING)) == []
    assert len(find_broken_limits(compare(make_metrics(acc=79)), make_gate(NOTHING))) == 1


def test_every_broken_limit_has_a_line_with_its_fix() -> None:
    assert find_broken_limits(
        compare(make_metrics(acc=70, generated=10, ifeval=30)),
        make_gate({"mmlu.acc": 0.05, "mmlu.generated_acc": 0.2, "ifeval.prompt_strict": 0.1}),
    ) == [
        f"params.yaml: gate.{name}; raise mix.ratio or lower train.lr"
        for name in (
            "mmlu.acc: fell by 0.100 (0.800 to 0.700), 0.05 is allowed",
            "mmlu.generated_acc: fell by 0.600 (0.700 to 0.100), 0.2 is allowed",
            "ifeval.prompt_strict: fell by 0.300 (0.600 to 0.300), 0.1 is allowed",
        )
    ]


def test_without_a_trained_model_no_limit_is_broken() -> None:
    assert find_broken_limits(compare(({}, {}), base=make_svm_metrics()), make_gate(NOTHING)) == []
