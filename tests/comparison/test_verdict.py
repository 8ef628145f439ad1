"""The comparison in words, and the gate at, above and below its limits."""

import pytest

from alloy.comparison.settings import Gate
from alloy.comparison.verdict import failures, verdict
from measured import lines, measured, rival


def gate(limits: dict[str, float]) -> Gate:
    """Return the gate with limits by the names of metrics."""
    parts: dict[str, dict[str, float]] = {}
    for name, limit in limits.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = limit
    return Gate.model_validate(parts)


NOTHING = {"mmlu.acc": 0.0, "mmlu.generated_acc": 0.0, "ifeval.prompt_strict": 0.0}


def said(tuned, base=None, svm=None) -> str:
    return verdict(lines(tuned, base, svm), tuned[1].get("mmlu", []))


def test_a_model_that_answers_in_json_has_lost_the_form_and_not_what_it_knows() -> None:
    words = said(measured(acc=79, generated=0, unparsed=96, json=96))
    assert "Knowledge: no loss is shown. By likelihood 79% is known, base knew 80% (95 %: -0.0" in words
    assert (
        "Form: lost. Asked in chat, 96% of the answers are none of the choices (base: 1%), 100% of them JSON; 0% are "
        "right (base: 70%)." in words
    )


def test_a_model_that_knows_less_has_lost_knowledge() -> None:
    words = said(measured(acc=40, generated=35))
    assert "Knowledge: lost. By likelihood 40% is known, base knew 80%." in words
    assert "Form: kept. Asked in chat, 35% are right (base: 70%); answers are choices as often as before." in words


def test_what_base_did_not_have_cannot_be_lost() -> None:
    silent = measured(acc=28, generated=0, unparsed=97)
    words = said(measured(acc=22, generated=0, unparsed=100), base=silent)
    assert "Knowledge: base had none to lose. By likelihood 22% is known, base knew 28%; guessing gives 25%." in words
    assert "Form: base had none to lose. Asked in chat, 97% of its answers are none of the choices." in words


def test_more_knowledge_is_no_loss() -> None:
    assert "no loss is shown" in said(measured(acc=99))


@pytest.mark.parametrize(
    ("svm", "words"),
    [
        (10, "A linear SVM reaches 0.100: the tuned model passes this bar."),
        (50, "A linear SVM reaches 0.500; no difference to the tuned model is shown."),
        (90, "A linear SVM reaches 0.900: the tuned model does not pass this bar."),
    ],
)
def test_the_rival_is_the_bar(svm: int, words: str) -> None:
    assert f"Task: F1 0.500, base has 0.100. {words}" in said(measured(f1=50), svm=rival(svm))


def test_instructions_say_when_nothing_is_shown() -> None:
    assert "Instructions: 20% of the prompts are followed in full (base: 60%)." in said(measured(ifeval=20))
    assert "Instructions: 60% of the prompts are followed in full (base: 60%); no change is shown." in said(measured())


def test_without_a_tuned_model_there_is_nothing_to_compare() -> None:
    words = verdict(lines(({}, {}), base=rival()), [])
    assert words == "Nothing was trained: there is nothing to compare."


def test_without_a_gate_anything_passes() -> None:
    assert failures(lines(measured(acc=0, generated=0, ifeval=0)), Gate()) == []


@pytest.mark.parametrize(("lost", "passes"), [(6, False), (5, True), (4, True), (0, True), (-9, True)])
def test_the_gate_breaks_above_its_limit(lost: int, passes: bool) -> None:
    for own, tuned in (
        (gate({"mmlu.acc": 0.05}), measured(acc=80 - lost)),
        (gate({"mmlu.generated_acc": 0.05}), measured(generated=70 - lost)),
        (gate({"mmlu.unparsed": 0.05}), measured(unparsed=1 + lost) if lost >= 0 else measured(unparsed=0)),
        (gate({"ifeval.prompt_strict": 0.05}), measured(ifeval=60 - lost)),
        (gate({"voc.f1": 0.05}), measured(f1=10 - lost)),
        (gate({"general.gsm8k acc": 0.05}), measured(**{"gsm8k acc": round(0.5 - lost / 100, 2)})),
    ):
        base = measured(**{"gsm8k acc": 0.5})
        assert (not failures(lines(tuned, base=base), own)) is passes


def test_a_gate_of_0_lets_no_loss_pass_but_equality() -> None:
    assert failures(lines(measured()), gate(NOTHING)) == []
    assert len(failures(lines(measured(acc=79)), gate(NOTHING))) == 1


def test_every_broken_limit_has_a_line_with_its_mend() -> None:
    assert failures(
        lines(measured(acc=70, generated=10, ifeval=30)),
        gate({"mmlu.acc": 0.05, "mmlu.generated_acc": 0.2, "ifeval.prompt_strict": 0.1}),
    ) == [
        f"params.yaml: gate.{name}; raise mix.ratio or lower train.lr"
        for name in (
            "mmlu.acc: fell by 0.100 (0.800 to 0.700), 0.05 is allowed",
            "mmlu.generated_acc: fell by 0.600 (0.700 to 0.100), 0.2 is allowed",
            "ifeval.prompt_strict: fell by 0.300 (0.600 to 0.300), 0.1 is allowed",
        )
    ]


def test_a_limit_on_what_was_not_measured_breaks_nothing() -> None:
    assert failures(lines(({}, {}), base=rival()), gate(NOTHING)) == []
