"""What a comparison means, in plain sentences: one finding per topic, each with a kind that pages and tools can read.

A finding follows from all metrics together. The rules, in their order:

1. No verdict from fewer than `ENOUGH` items (alloy/scoring/bootstrap.py).
2. No verdict from a test in which base is within chance: such a test cannot show that something was forgotten.
3. A change counts if its 95% interval excludes 0. Else the models are not distinguishable; if the interval also
   excludes a loss of more than `TOLERANCE`, the ability is kept.
4. The answer format is not kept if more general answers are in the task's format than before, whatever the other tests
   say of it.
"""

from dataclasses import dataclass
from enum import Enum

from alloy.comparison.metrics import BY_NAME, TESTS
from alloy.core.files import Row
from alloy.scoring.bootstrap import ALPHA, MIN_ITEMS

TOLERANCE = 0.05  # a smaller loss is no loss of an ability
UNREADABLE = 0.95  # if base gives no choice this often, a rise cannot be seen
Lines = dict[str, Row]  # the lines of a comparison by the names of their metrics


class Kind(Enum):
    """What became of an ability."""

    gained = "gained"
    kept = "kept"
    unclear = "not distinguishable"
    partly_lost = "partly lost"
    lost = "lost"
    too_few = "too few items"
    blind = "cannot tell"


@dataclass(frozen=True)
class Finding:
    """What became of one ability; `text` are sentences that can be read alone."""

    topic: str
    kind: Kind
    text: str

    @property
    def row(self) -> Row:
        """The finding as it is written to a file."""
        return {"topic": self.topic, "kind": self.kind.value, "text": self.text}

    def __str__(self) -> str:
        """The finding as it is read: topic, kind, text."""
        return f"{self.topic}: {self.kind.value}. {self.text}"


def verdict(lines: list[Row]) -> list[Finding]:
    """Return what became of the task, of the answer format, of knowledge, of instructions and of general text.

    `lines` are those of `compare`. Empty if no model was tuned.
    """
    found = {line["name"]: line for line in lines if line["change"] is not None}
    if "voc.f1" not in found:
        return []
    said = [_task(found), *_format(found), _knowledge(found), _generated(found), _instructions(found), _text(found)]
    return [finding for finding in said if finding]


def as_text(findings: list[Finding]) -> str:
    """Return the findings as text, one per line."""
    return "\n".join(map(str, findings)) or "Nothing was trained: there is nothing to compare."


def _task(found: Lines) -> Finding:
    line = found.get("voc.f1_full", found["voc.f1"])
    base, tuned = values(line)
    of = "F1 of paths with emotions" if line["name"] == "voc.f1_full" else "F1"
    text = f"{of} {tuned:.3f} (base: {base:.3f})."
    if line["name"] == "voc.f1_full":
        paths = values(found["voc.f1"])
        text += f" F1 of paths alone {paths[1]:.3f} (base: {paths[0]:.3f})."
    if line["over_svm"]:
        text += f" A linear SVM has {line['models']['svm']['value']:.3f}: {_against(line['over_svm'])}."
    return _finding("Task", line, text)


def _against(over: Row) -> str:
    if not shown(over):
        return "not distinguishable from the tuned model"
    return "the tuned model is better" if over["value"] > 0 else "the SVM is better"


def _format(found: Lines) -> list[Finding]:
    """Return what became of the form of answers: leakage first, then answers without a choice, then degenerate ones."""
    topic = "Answer format"
    leak = found.get("leak")
    risen = [line for test in TESTS if (line := found.get(f"{test}.leak")) and enough(line) and rose(line)]
    if leak and (risen or (enough(leak) and rose(leak))):
        worst = max(risen, key=lambda line: line["change"]["value"], default=None)
        everywhere = rose(leak) and leak["change"]["value"] > TOLERANCE
        text = _leaked(leak, worst)
        unparsed = found.get("mmlu.unparsed")
        if unparsed and enough(unparsed) and rose(unparsed) and unparsed["change"]["value"] > TOLERANCE:
            text += f" {_share(unparsed, 'the answers to multiple-choice questions name none of the choices')}."
        return [Finding(topic, Kind.lost if everywhere else Kind.partly_lost, text), *_degenerate(found)]
    if leak and not enough(leak):
        return [_too_few(topic, leak, "general answers")]
    cut = found.get("answers.cut")
    if cut and values(cut)[0] >= UNREADABLE:
        said = f"{_share(cut, 'the general answers are cut at the token limit')}: a loss of the format cannot be seen."
        return [Finding(topic, Kind.blind, said)]
    text = _share(leak, f"the {leak['n']} general answers are customer labels") + "." if leak else ""
    kind = _kind(leak) if leak else Kind.kept
    unparsed = found.get("mmlu.unparsed")
    if not leak and not unparsed:
        return []
    if unparsed and enough(unparsed):
        base, _ = values(unparsed)
        if base >= UNREADABLE:
            text += f" Base names none of the choices in {percent(base)} of its answers: a loss there cannot be seen."
            kind = kind if leak else Kind.blind
        elif rose(unparsed) and unparsed["change"]["value"] > TOLERANCE:
            text += f" {_share(unparsed, 'the answers to multiple-choice questions name none of the choices')}."
            kind = Kind.lost
        else:
            text += " Answers to multiple-choice questions name a choice as often as base's do."
    return [Finding(topic, kind, text.strip()), *_degenerate(found)]


def _leaked(leak: Row, worst: Row | None) -> str:
    everything = f"all {leak['n']} general answers"
    if worst is None:
        return f"{_share(leak, f'{everything} are customer labels')}."
    test = worst["name"].partition(".")[0]
    return f"{_share(worst, f'the answers to {TESTS[test]} are customer labels')}; {_share(leak, everything)}."


def _degenerate(found: Lines) -> list[Finding]:
    """Return a finding for answers that became empty, loop, or do not end."""
    faults = (
        ("answers.empty", "are empty"),
        ("answers.loops", "repeat themselves"),
        ("answers.cut", "are cut at the token limit"),
    )
    said = [
        f"{_share(line, f'the general answers {what}')}."
        for name, what in faults
        if (line := found.get(name)) and enough(line) and rose(line) and line["change"]["value"] > TOLERANCE
    ]
    return [Finding("Answers", Kind.lost, " ".join(said))] if said else []


def _knowledge(found: Lines) -> Finding | None:
    line = found.get("mmlu.acc")
    if not line:
        return None
    topic = "Knowledge"
    if not enough(line):
        return _too_few(topic, line, "questions")
    base, _ = values(line)
    if within_chance(line):
        return Finding(
            topic,
            Kind.blind,
            f"This test cannot show forgetting for this model: by likelihood, base answers {percent(base)} of the "
            f"questions right{_range(line)}, and guessing gives {percent(chance_of(line))}. {_instead(found)}",
        )
    return _finding(topic, line, f"By likelihood, {_share(line, 'the questions are answered right')}{_interval(line)}.")


def _generated(found: Lines) -> Finding | None:
    line = found.get("mmlu.generated_acc")
    if not line:
        return None
    topic = "Answers in chat"
    if not enough(line):
        return _too_few(topic, line, "questions")
    text = f"Asked in chat, {_share(line, 'the questions are answered right')}"
    if within_chance(line):
        return Finding(topic, Kind.blind, f"{text}; guessing gives {percent(chance_of(line))}. {_instead(found)}")
    return _finding(topic, line, f"{text}{_interval(line)}.")


def _instructions(found: Lines) -> Finding | None:
    line = found.get("ifeval.prompt_strict")
    if not line:
        return None
    if not enough(line):
        return _too_few("Instructions", line, "prompts")
    text = _share(line, "IFEval's prompts are followed in full")
    if within_chance(line):
        return Finding("Instructions", Kind.blind, f"{text}: base has nothing to lose. {_instead(found)}")
    leak = found.get("ifeval.leak")
    if leak and rose(leak) and leak["change"]["value"] > TOLERANCE and _kind(line) is not Kind.lost:
        said = f"{text}, but {_share(leak, 'these answers are customer labels')}: those pass some checks by chance."
        return Finding("Instructions", Kind.blind, said)
    return _finding("Instructions", line, f"{text}{_interval(line)}.")


def _text(found: Lines) -> Finding | None:
    """Return what became of the loss on held-out general text, in nats per token."""
    line = found.get("loss.general")
    if not line:
        return None
    if not enough(line):
        return _too_few("General text", line, "rows")
    base, tuned = values(line)
    text = f"Its loss is {tuned:.3f} nats per token (base: {base:.3f}){_interval(line)}."
    if divergence := found.get("loss.kl"):
        text += (
            f" The tuned model differs from base by {divergence['models']['tuned']['value']:.3f} nats per token (KL)."
        )
    return _finding("General text", line, text)


def _instead(found: Lines) -> str:
    """Return the sentence that names a test that can show forgetting for this model."""
    tests = (
        ("loss.general", "the loss on general text"),
        ("mmlu.acc", "the questions by likelihood"),
        ("mmlu.generated_acc", "the questions asked in chat"),
        ("ifeval.prompt_strict", "IFEval"),
        ("leak", "leakage"),
    )
    for name, title in tests:
        line = found.get(name)
        if line and enough(line) and not within_chance(line):
            return f"A test that can: {title}."
    return "No test of this run can; take an easier benchmark."


def _finding(topic: str, line: Row, text: str) -> Finding:
    """Return the finding of a metric whose test can show a change."""
    return Finding(topic, _kind(line), text) if enough(line) else _too_few(topic, line, "items")


def _kind(line: Row) -> Kind:
    """Return what became of a metric, by the interval of its change."""
    change, sign = line["change"], 1 if _higher_is_better(line) else -1
    if shown(change):
        return Kind.gained if change["value"] * sign > 0 else Kind.lost
    if "low" not in change:
        return Kind.unclear
    worst = min(change["low"] * sign, change["high"] * sign)
    return Kind.kept if worst >= -TOLERANCE else Kind.unclear


def _too_few(topic: str, line: Row, items: str) -> Finding:
    return Finding(
        topic, Kind.too_few, f"{line['n']} {items} are too few for a verdict; {MIN_ITEMS} or more are needed."
    )


def _higher_is_better(line: Row) -> bool:
    name = line["name"]
    return BY_NAME[name].higher_is_better if name in BY_NAME else not name.startswith("loss.")


def enough(line: Row) -> bool:
    """Return whether a line is measured on enough items for a verdict; an unknown number is taken to be enough."""
    return line["n"] is None or line["n"] >= MIN_ITEMS


def within_chance(line: Row) -> bool:
    """Return whether base is not better than guessing: its 95% interval reaches down to it, or is below it.

    False for what is better when it falls: there is always something to lose.
    """
    base = line["models"]["base"]
    return _higher_is_better(line) and base.get("low", base["value"]) <= chance_of(line)


def chance_of(line: Row) -> float:
    """Return what guessing gives in the test of a line; 0 if that is not known."""
    return line.get("chance") or 0.0


def shown(change: Row) -> bool:
    """Return whether a change is distinguishable from none: its 95% interval excludes 0."""
    return "low" in change and not change["low"] <= 0 <= change["high"]


def rose(line: Row) -> bool:
    """Return whether a share rose, by more than chance."""
    return shown(line["change"]) and line["change"]["value"] > 0


def values(line: Row) -> tuple[float, float]:
    """Return a metric of base and of the tuned model."""
    return line["models"]["base"]["value"], line["models"]["tuned"]["value"]


def percent(share: float) -> str:
    """Return a share as people read it: 92%, 2.9%, 0.4%; 0% and 100% only if it is exactly that."""
    return f"{share:.0%}" if share in (0, 1) or 0.0995 <= share < 0.995 else f"{share:.1%}"


def p_value(p: float | None) -> str:
    """Return p with three places, "" if there is none."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _share(line: Row, what: str) -> str:
    base, tuned = values(line)
    return f"{percent(tuned)} of {what} (base: {percent(base)})"


def _range(line: Row) -> str:
    """Return the 95% interval of base, in parentheses."""
    base = line["models"]["base"]
    return f" (95% interval: {percent(base['low'])} to {percent(base['high'])})" if "low" in base else ""


def _interval(line: Row) -> str:
    change = line["change"]
    return f"; 95% interval of the change: {change['low']:+.3f} to {change['high']:+.3f}" if "low" in change else ""


def significant(difference: Row) -> bool:
    """Return whether a difference is larger than chance would make between equal models."""
    return difference.get("p", 1.0) < ALPHA
