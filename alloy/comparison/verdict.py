"""What a comparison means, in words: knowledge that is lost and a form that is lost are two things."""

from alloy.comparison.compare import Rows
from alloy.comparison.metrics import BY_NAME
from alloy.comparison.settings import Gate
from alloy.core.files import Row

CHANCE_OF_ERROR = 0.05
GUESSING = 0.25  # of four choices
FORM = 0.05  # so many more answers without a choice, and the form is lost; so many with one, and there is none


def verdict(lines: list[Row], answers: Rows) -> str:
    """Say what became of the task, of knowledge and of the form; `answers` are the tuned model's to the benchmark."""
    found = {(line["part"], line["key"]): line for line in lines}
    if found.get(("voc", "f1"), {}).get("change") is None:
        return "Nothing was trained: there is nothing to compare."
    said = [_task(found["voc", "f1"])]
    if ("mmlu", "acc") in found:
        said += [_knowledge(found["mmlu", "acc"]), _form(found, answers)]
    if ("ifeval", "prompt_strict") in found:
        said.append(_instructions(found["ifeval", "prompt_strict"]))
    return "\n".join(said)


def _task(line: Row) -> str:
    base, tuned = _values(line)
    text = f"Task: F1 {tuned:.3f}, base has {base:.3f}."
    over = line["over_svm"]
    if over is None:
        return text
    text += f" A linear SVM reaches {line['models']['svm']['value']:.3f}"
    if not significant(over):
        return f"{text}; no difference to the tuned model is shown."
    return f"{text}: the tuned model {'passes' if over['value'] > 0 else 'does not pass'} this bar."


def _knowledge(line: Row) -> str:
    base, tuned = _values(line)
    change = line["change"]
    known = f"By likelihood {tuned:.0%} is known, base knew {base:.0%}"
    if line["models"]["base"]["low"] <= GUESSING:
        return f"Knowledge: base had none to lose. {known}; guessing gives {GUESSING:.0%}."
    if significant(change) and change["value"] < 0:
        return f"Knowledge: lost. {known}."
    return f"Knowledge: no loss is shown. {known} (95 %: {change['low']:+.3f} to {change['high']:+.3f})."


def _form(found: dict[tuple[str, str], Row], answers: Rows) -> str:
    right_before, right = _values(found["mmlu", "generated_acc"])
    silent_before, silent = _values(found["mmlu", "unparsed"])
    change = found["mmlu", "unparsed"]["change"]
    said = f"{right:.0%} are right (base: {right_before:.0%})"
    if silent_before >= 1 - FORM:
        return (
            f"Form: base had none to lose. Asked in chat, {silent_before:.0%} of its answers are none of the choices."
        )
    if not significant(change) or change["value"] <= FORM:
        return f"Form: kept. Asked in chat, {said}; answers are choices as often as before."
    unread = [row["answer"].lstrip() for row in answers if row["unparsed"]]
    json = sum(answer.startswith(("[", "{")) for answer in unread) / max(len(unread), 1)
    instead = f", {json:.0%} of them JSON" if json >= 0.1 else ""
    return (
        f"Form: lost. Asked in chat, {silent:.0%} of the answers are none of the choices (base: {silent_before:.0%})"
        f"{instead}; {said}."
    )


def _instructions(line: Row) -> str:
    base, tuned = _values(line)
    end = "" if significant(line["change"]) else "; no change is shown"
    return f"Instructions: {tuned:.0%} of the prompts are followed in full (base: {base:.0%}){end}."


def _values(line: Row) -> tuple[float, float]:
    return line["models"]["base"]["value"], line["models"]["tuned"]["value"]


def significant(difference: Row) -> bool:
    """Say whether a difference is more than chance would make between equal models."""
    return difference.get("p", 1.0) < CHANCE_OF_ERROR


def failures(lines: list[Row], gate: Gate) -> list[str]:
    """Return one line for each limit of the gate that tuning broke."""
    found = {f"{line['part']}.{line['key']}": line for line in lines}
    broken = []
    for name, limit in gate.limits().items():
        line = found.get(name)
        if line is None or line["change"] is None:
            continue
        rises = name in BY_NAME and not BY_NAME[name].higher_is_better
        change = line["change"]["value"]
        if (change if rises else -change) <= limit:
            continue
        base, tuned = _values(line)
        broken.append(
            f"params.yaml: gate.{name}: {'rose' if rises else 'fell'} by {abs(base - tuned):.3f} ({base:.3f} to "
            f"{tuned:.3f}), {limit:g} is allowed; raise mix.ratio or lower train.lr"
        )
    return broken
