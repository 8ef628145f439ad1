"""Explain a comparison: one finding per topic, with an outcome that programs can read and a text for people.

Rules, in this order:

1. Fewer than `MIN_ITEMS` items (alloy/scoring/bootstrap.py): no verdict.
2. The base model is not above chance: no verdict, since the test cannot show forgetting.
3. The 95% interval of the change excludes 0: better or worse. Otherwise, if it excludes a loss of more than
   `TOLERANCE`: kept. Otherwise: not distinguishable.
4. More general answers are in the task's format than before: the answer format is worse, or partly worse, even if other
   tests of the format show no change.
"""

from dataclasses import dataclass
from enum import Enum

from alloy.comparison.metrics import BY_NAME, TESTS
from alloy.core.files import Row
from alloy.scoring.bootstrap import ALPHA, MIN_ITEMS

TOLERANCE = 0.05  # a smaller loss does not count as the loss of an ability
SATURATED_SHARE = 0.95  # if so many answers of the base model name no choice, or are cut, a rise cannot be measured
Lines = dict[str, Row]  # the lines of a comparison by metric name


class Outcome(Enum):
    """Whether tuning kept an ability."""

    better = "better"
    kept = "kept"
    unclear = "not distinguishable"
    partly_worse = "partly worse"
    worse = "worse"
    too_few = "too few items"
    inconclusive = "cannot tell"


@dataclass(frozen=True)
class Finding:
    """The outcome for one ability. `text` explains it in complete sentences."""

    topic: str
    outcome: Outcome
    text: str

    @property
    def row(self) -> Row:
        """The finding as it is written to a file."""
        return {"topic": self.topic, "outcome": self.outcome.value, "text": self.text}

    def __str__(self) -> str:
        """The finding as one line: topic, outcome, text."""
        return f"{self.topic}: {self.outcome.value}. {self.text}"


def judge_comparison(lines: list[Row]) -> list[Finding]:
    """Return the findings on task, answer format, knowledge, chat answers, instructions and general text.

    `lines` are those of `compare_models`. Without a tuned model, there are no findings.
    """
    by_name = {line["name"]: line for line in lines if line["change"] is not None}
    if "voc.f1" not in by_name:
        return []
    findings = [
        _judge_task(by_name),
        *_judge_format(by_name),
        _judge_knowledge(by_name),
        _judge_chat_answers(by_name),
        _judge_instructions(by_name),
        _judge_general_text(by_name),
    ]
    return [finding for finding in findings if finding]


def render_findings(findings: list[Finding]) -> str:
    """Return the findings as text, one per line."""
    return "\n".join(map(str, findings)) or "Nothing was trained: there is nothing to compare."


def _judge_task(lines: Lines) -> Finding:
    line = lines.get("voc.f1_full", lines["voc.f1"])
    base, tuned = get_base_and_tuned(line)
    text = f"{line['title']}: {tuned:.3f} (base: {base:.3f})."
    if line["name"] == "voc.f1_full":
        paths = get_base_and_tuned(lines["voc.f1"])
        text += f" {lines['voc.f1']['title']}: {paths[1]:.3f} (base: {paths[0]:.3f})."
    if line["over_svm"]:
        text += f" A linear SVM has {line['models']['svm']['value']:.3f}: {_describe_svm_difference(line['over_svm'])}."
    return _make_finding("Task", line, text)


def _describe_svm_difference(difference: Row) -> str:
    if not excludes_zero(difference):
        return "not distinguishable from the tuned model"
    return "the tuned model is better" if difference["value"] > 0 else "the SVM is better"


def _judge_format(lines: Lines) -> list[Finding]:
    """Return the findings on the answer format: leakage, then answers without a choice, then degenerate answers."""
    topic = "Answer format"
    leak = lines.get("leak")
    risen = [
        line for test in TESTS if (line := lines.get(f"{test}.leak")) and has_enough_items(line) and has_risen(line)
    ]
    if leak and (risen or (has_enough_items(leak) and has_risen(leak))):
        worst = max(risen, key=lambda line: line["change"]["value"], default=None)
        everywhere = has_risen(leak) and leak["change"]["value"] > TOLERANCE
        text = _describe_leakage(leak, worst)
        unparsed = lines.get("mmlu.unparsed")
        if unparsed and has_enough_items(unparsed) and has_risen(unparsed) and unparsed["change"]["value"] > TOLERANCE:
            text += (
                f" {_describe_share(unparsed, 'the answers to multiple-choice questions name none of the choices')}."
            )
        return [
            Finding(topic, Outcome.worse if everywhere else Outcome.partly_worse, text),
            *_judge_degenerate_answers(lines),
        ]
    if leak and not has_enough_items(leak):
        return [_make_too_few_finding(topic, leak, "general answers")]
    cut = lines.get("answers.cut")
    if cut and get_base_and_tuned(cut)[0] >= SATURATED_SHARE:
        share = _describe_share(cut, "the general answers are cut at the token limit")
        text = f"{share}: a loss of the format cannot be measured."
        return [Finding(topic, Outcome.inconclusive, text)]
    text = _describe_share(leak, f"the {leak['n']} general answers are customer labels") + "." if leak else ""
    outcome = _classify_change(leak) if leak else Outcome.kept
    unparsed = lines.get("mmlu.unparsed")
    if not leak and not unparsed:
        return []
    if unparsed and has_enough_items(unparsed):
        base, _ = get_base_and_tuned(unparsed)
        if base >= SATURATED_SHARE:
            share = format_percent(base)
            text += f" {share} of the base model's answers name none of the choices: an increase cannot be measured."
            outcome = outcome if leak else Outcome.inconclusive
        elif has_risen(unparsed) and unparsed["change"]["value"] > TOLERANCE:
            text += (
                f" {_describe_share(unparsed, 'the answers to multiple-choice questions name none of the choices')}."
            )
            outcome = Outcome.worse
        else:
            text += " Answers to multiple-choice questions name a choice as often as before tuning."
    return [Finding(topic, outcome, text.strip()), *_judge_degenerate_answers(lines)]


def _describe_leakage(leak: Row, worst: Row | None) -> str:
    all_answers = f"all {leak['n']} general answers"
    if worst is None:
        return f"{_describe_share(leak, f'{all_answers} are customer labels')}."
    test = worst["name"].partition(".")[0]
    share = _describe_share(worst, f"the answers to {TESTS[test]} are customer labels")
    return f"{share}; {_describe_share(leak, all_answers)}."


def _judge_degenerate_answers(lines: Lines) -> list[Finding]:
    """Return a finding if more answers than before are empty, repeat themselves or are cut; else no finding."""
    errors = (
        ("answers.empty", "are empty"),
        ("answers.loops", "repeat themselves"),
        ("answers.cut", "are cut at the token limit"),
    )
    sentences = [
        f"{_describe_share(line, f'the general answers {error}')}."
        for name, error in errors
        if (line := lines.get(name))
        and has_enough_items(line)
        and has_risen(line)
        and line["change"]["value"] > TOLERANCE
    ]
    return [Finding("Answers", Outcome.worse, " ".join(sentences))] if sentences else []


def _judge_knowledge(lines: Lines) -> Finding | None:
    line = lines.get("mmlu.acc")
    if not line:
        return None
    topic = "Knowledge"
    if not has_enough_items(line):
        return _make_too_few_finding(topic, line, "questions")
    base, _ = get_base_and_tuned(line)
    if is_within_chance(line):
        return Finding(
            topic,
            Outcome.inconclusive,
            "This test cannot show forgetting for this model: by likelihood, the base model answers "
            f"{format_percent(base)} of the questions correctly{_describe_base_interval(line)}, and guessing gives "
            f"{format_percent(get_chance_level(line))}. {_suggest_test(lines)}",
        )
    return _make_finding(
        topic,
        line,
        f"By likelihood, {_describe_share(line, 'the questions are answered correctly')}"
        f"{_describe_change_interval(line)}.",
    )


def _judge_chat_answers(lines: Lines) -> Finding | None:
    line = lines.get("mmlu.generated_acc")
    if not line:
        return None
    topic = "Answers in chat"
    if not has_enough_items(line):
        return _make_too_few_finding(topic, line, "questions")
    text = f"In chat, {_describe_share(line, 'the questions are answered correctly')}"
    if is_within_chance(line):
        return Finding(
            topic,
            Outcome.inconclusive,
            f"{text}; guessing gives {format_percent(get_chance_level(line))}. {_suggest_test(lines)}",
        )
    return _make_finding(topic, line, f"{text}{_describe_change_interval(line)}.")


def _judge_instructions(lines: Lines) -> Finding | None:
    line = lines.get("ifeval.prompt_strict")
    if not line:
        return None
    if not has_enough_items(line):
        return _make_too_few_finding("Instructions", line, "prompts")
    text = _describe_share(line, "IFEval's prompts are followed in full")
    if is_within_chance(line):
        return Finding(
            "Instructions", Outcome.inconclusive, f"{text}: the base model has nothing to lose. {_suggest_test(lines)}"
        )
    leak = lines.get("ifeval.leak")
    if leak and has_risen(leak) and leak["change"]["value"] > TOLERANCE and _classify_change(line) is not Outcome.worse:
        share = _describe_share(leak, "these answers are customer labels")
        leak_text = f"{text}, but {share}: such answers pass some checks by chance."
        return Finding("Instructions", Outcome.inconclusive, leak_text)
    return _make_finding("Instructions", line, f"{text}{_describe_change_interval(line)}.")


def _judge_general_text(lines: Lines) -> Finding | None:
    """Return the finding on the loss on held-out general text, in nats per token."""
    line = lines.get("loss.general")
    if not line:
        return None
    if not has_enough_items(line):
        return _make_too_few_finding("General text", line, "rows")
    base, tuned = get_base_and_tuned(line)
    text = f"The loss is {tuned:.3f} nats per token (base: {base:.3f}){_describe_change_interval(line)}."
    if divergence := lines.get("loss.kl"):
        kl = divergence["models"]["tuned"]["value"]
        text += f" The tuned model differs from the base model by {kl:.3f} nats per token (KL)."
    return _make_finding("General text", line, text)


def _suggest_test(lines: Lines) -> str:
    """Return a sentence with the first test that can show forgetting for this model, or one that there is none."""
    tests = (
        ("loss.general", "the loss on general text"),
        ("mmlu.acc", "the questions by likelihood"),
        ("mmlu.generated_acc", "the questions asked in chat"),
        ("ifeval.prompt_strict", "IFEval"),
        ("leak", "leakage"),
    )
    for name, title in tests:
        line = lines.get(name)
        if line and has_enough_items(line) and not is_within_chance(line):
            return f"A test that can show forgetting: {title}."
    return "No test of this run can show forgetting; use an easier benchmark."


def _make_finding(topic: str, line: Row, text: str) -> Finding:
    """Return the finding of a metric whose test can show a change."""
    return (
        Finding(topic, _classify_change(line), text)
        if has_enough_items(line)
        else _make_too_few_finding(topic, line, "items")
    )


def _classify_change(line: Row) -> Outcome:
    """Return the outcome for a metric, by the interval of its change (rule 3)."""
    change, sign = line["change"], 1 if _higher_is_better(line) else -1
    if excludes_zero(change):
        return Outcome.better if change["value"] * sign > 0 else Outcome.worse
    if "low" not in change:
        return Outcome.unclear
    worst = min(change["low"] * sign, change["high"] * sign)
    return Outcome.kept if worst >= -TOLERANCE else Outcome.unclear


def _make_too_few_finding(topic: str, line: Row, items: str) -> Finding:
    return Finding(
        topic, Outcome.too_few, f"{line['n']} {items} are too few for a verdict; {MIN_ITEMS} or more are needed."
    )


def _higher_is_better(line: Row) -> bool:
    name = line["name"]
    return BY_NAME[name].higher_is_better if name in BY_NAME else not name.startswith("loss.")


def has_enough_items(line: Row) -> bool:
    """Return whether the metric of a line was measured on enough items; True if their number is unknown."""
    return line["n"] is None or line["n"] >= MIN_ITEMS


def is_within_chance(line: Row) -> bool:
    """Return whether the base model may only be guessing: its 95% interval does not lie above chance.

    False for metrics of which lower is better: these can always get worse.
    """
    base = line["models"]["base"]
    return _higher_is_better(line) and base.get("low", base["value"]) <= get_chance_level(line)


def get_chance_level(line: Row) -> float:
    """Return the value that guessing gives in the test of a line; 0 if it is unknown."""
    return line.get("chance") or 0.0


def excludes_zero(change: Row) -> bool:
    """Return whether the 95% interval of a change excludes 0."""
    return "low" in change and not change["low"] <= 0 <= change["high"]


def has_risen(line: Row) -> bool:
    """Return whether a share rose: the 95% interval of its change is above 0."""
    return excludes_zero(line["change"]) and line["change"]["value"] > 0


def get_base_and_tuned(line: Row) -> tuple[float, float]:
    """Return the values of the base model and the tuned model."""
    return line["models"]["base"]["value"], line["models"]["tuned"]["value"]


def format_percent(share: float) -> str:
    """Return a share as a percentage such as 92%, 2.9% or 0.4%; 0% and 100% only if it is exactly 0 or 1."""
    return f"{share:.0%}" if share in (0, 1) or 0.0995 <= share < 0.995 else f"{share:.1%}"


def format_p(p: float | None) -> str:
    """Return p with three decimals; "" if there is none."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _describe_share(line: Row, what: str) -> str:
    base, tuned = get_base_and_tuned(line)
    return f"{format_percent(tuned)} of {what} (base: {format_percent(base)})"


def _describe_base_interval(line: Row) -> str:
    """Return the 95% interval of the base model, in parentheses."""
    base = line["models"]["base"]
    return f" (95% interval: {format_percent(base['low'])} to {format_percent(base['high'])})" if "low" in base else ""


def _describe_change_interval(line: Row) -> str:
    change = line["change"]
    return f"; 95% interval of the change: {change['low']:+.3f} to {change['high']:+.3f}" if "low" in change else ""


def is_significant(difference: Row) -> bool:
    """Return whether a difference is significant: its p is below `ALPHA`; False if it has no p."""
    return difference.get("p", 1.0) < ALPHA
