"""The registry of metrics: names, titles, directions, and the gates that can be set on them."""

from pathlib import Path

import pytest
import yaml

from alloy.comparison.metrics import BY_NAME, METRICS, STAGES, TESTS, make_task_metric, select_headline
from alloy.comparison.settings import Gate
from alloy.core.files import InputError, read_json

ROOT = Path(__file__).parents[2]


def list_names(parts: dict) -> list[str]:
    """Return the names of the metrics in a file, in its order: `<part>.<key>`, or `<key>` of a number."""
    return [
        name
        for part, keys in parts.items()
        for name in ([f"{part}.{key}" for key in keys] if isinstance(keys, dict) else [part])
    ]


def test_names_and_titles_are_unique() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert len({metric.title for metric in METRICS}) == len(METRICS)


def test_a_metric_has_a_part_a_key_and_a_stage() -> None:
    metric = BY_NAME["mmlu.generated_acc"]
    assert (metric.part, metric.key, STAGES[metric.part]) == ("mmlu", "generated_acc", "mmlu")
    assert (make_task_metric("gsm8k exact_match,strict").part, STAGES["general"]) == ("general", "general")


def test_metrics_where_lower_is_better_are_marked() -> None:
    falling = {metric.name for metric in METRICS if not metric.higher_is_better}
    leaks = {"leak", *(f"{test}.leak" for test in TESTS)}
    answer_errors = {"answers.empty", "answers.cut", "answers.loops", "mmlu.unparsed"}
    task = {"voc.invalid_json", "voc.invented_labels", "voc.broken_paths"}
    task |= {"voc.ended_by_length", "voc.repeated_segments"}
    assert falling == {*task, *answer_errors, *leaks, "loss.general", "loss.kl"}


def test_a_metric_of_the_whole_model_has_no_part() -> None:
    metric = BY_NAME["leak"]
    assert (metric.part, metric.key, metric.rows_part) == ("", "leak", "answers")
    assert metric.read_value({"leak": 0.25, "mmlu": {"leak": 0.5}}) == 0.25
    assert BY_NAME["mmlu.leak"].read_value({"leak": 0.25, "mmlu": {"leak": 0.5}}) == 0.5
    assert BY_NAME["mmlu.leak"].read_value({"leak": 0.25}) is None


def test_the_committed_summary_has_the_headline_metrics_in_the_order_of_the_registry() -> None:
    summary = read_json(ROOT / "metrics/summary.json")["tuned"]
    del summary["mmlu"]["formulation"]
    names = [name for name in list_names(summary) if name in BY_NAME]  # the summary also has counts of items
    assert names == [metric.name for metric in METRICS if metric.headline]


def test_the_summary_of_a_model_has_only_measured_metrics() -> None:
    metrics = {"voc": {metric.key: 0.5 for metric in METRICS if metric.part == "voc"}, "general": {"gsm8k acc": 0.1}}
    assert list(select_headline({**metrics, "mmlu": {}})) == ["voc", "general"]


def test_the_summary_names_the_formulation_of_the_headline_accuracy() -> None:
    mmlu = {metric.key: 0.5 for metric in METRICS if metric.part == "mmlu"}
    assert select_headline({"mmlu": {**mmlu, "formulation": "letters_acc"}})["mmlu"]["formulation"] == "letters_acc"


def test_every_compared_metric_can_have_a_gate(tmp_path: Path) -> None:
    for metric in METRICS:
        limits = {metric.part: {metric.key: 0.1}} if metric.part else {metric.key: 0.1}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"gate": limits}))
        if metric.compared:
            assert Gate.load(root=tmp_path).get_limits() == {metric.name: 0.1}
        else:
            with pytest.raises(InputError, match=rf"gate\.{metric.name}: "):
                Gate.load(root=tmp_path)


@pytest.mark.parametrize("limit", ["0", "0.5", "7"])
def test_a_limit_in_nats_may_exceed_1(tmp_path: Path, limit: str) -> None:
    (tmp_path / "params.yaml").write_text(f"gate: {{loss: {{general: {limit}, kl: {limit}}}}}\n")
    assert Gate.load(root=tmp_path).get_limits() == dict.fromkeys(("loss.general", "loss.kl"), float(limit))


def test_params_yaml_names_every_metric_that_can_have_a_gate() -> None:
    gate = yaml.safe_load((ROOT / "params.yaml").read_text())["gate"]
    assert set(list_names(gate)) == {metric.name for metric in METRICS if metric.compared}


@pytest.mark.parametrize(
    ("text", "expected_words"),
    [
        ("mmlu: {accc: 0.1}", ("gate.mmlu.accc", "mmlu.acc")),
        ("mmlu: {acc: 2}", ("gate.mmlu.acc", "2")),
        ("mmlu: {acc: -0.1}", ("gate.mmlu.acc", "-0.1")),
        ("loss: {kl: -0.1}", ("gate.loss.kl", "-0.1")),
        ("loss: {kl: .inf}", ("gate.loss.kl", "inf")),
        ("mmlu: {acc: x}", ("gate.mmlu.acc", "'x'")),
        ("mmlu: {acc: true}", ("gate.mmlu.acc", "true")),
        ("mmlu: 0.02", ("gate.mmlu", "0.02")),
        ("leak: {mmlu: 0.02}", ("gate.leak", "mmlu")),
        ("leak: 5", ("gate.leak", "5")),
        ("mmlu_drop: 0.02", ("gate.mmlu_drop", "0.02")),
    ],
)
def test_an_invalid_limit_is_an_error_with_key_and_value(
    tmp_path: Path, text: str, expected_words: tuple[str, ...]
) -> None:
    (tmp_path / "params.yaml").write_text(f"gate: {{{text}}}\n")
    with pytest.raises(InputError) as caught:
        Gate.load(root=tmp_path)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in expected_words)
