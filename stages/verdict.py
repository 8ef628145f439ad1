"""What a comparison means, in words: knowledge that is lost and a form that is lost are two things."""

from stages.experiment import Gate
from stages.measures import Rows
from stages.records import Row

CHANCE_OF_ERROR = 0.05
LIMITS = {
    "mmlu_drop": ("mmlu", "acc"),
    "generated_drop": ("mmlu", "generated_acc"),
    "ifeval_drop": ("ifeval", "prompt_strict"),
}
FORM = 0.05  # more answers without a choice than this: the form is lost, too


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
    text = f"Task: F1 {_went(line, 3)}."
    over = line["over_svm"]
    if over is None:
        return text
    text += f" A linear SVM reaches {line['models']['svm']['value']:.3f}"
    if not significant(over):
        return f"{text}; no difference to the tuned model is shown."
    return f"{text}: the tuned model {'passes' if over['value'] > 0 else 'does not pass'} this bar."


def _knowledge(line: Row) -> str:
    if not significant(line["change"]) or line["change"]["value"] >= 0:
        change = line["change"]
        return (
            f"Knowledge: by likelihood {_went(line)}; no loss is shown "
            f"({change['low']:+.3f} to {change['high']:+.3f}, 95 %)."
        )
    return f"Knowledge: by likelihood {_went(line)}: that much is lost."


def _form(found: dict[tuple[str, str], Row], answers: Rows) -> str:
    unparsed, generated = found["mmlu", "unparsed"], found["mmlu", "generated_acc"]
    text = f"Form: asked in chat, {_went(generated)} is right"
    if not significant(unparsed["change"]) or unparsed["change"]["value"] <= FORM:
        return f"{text}; answers are choices as often as before."
    silent = [row["answer"].lstrip() for row in answers if row["unparsed"]]
    json = sum(answer.startswith(("[", "{")) for answer in silent) / max(len(silent), 1)
    instead = f", {json:.0%} of these JSON" if json >= 0.1 else ""
    return (
        f"{text}; {unparsed['models']['tuned']['value']:.0%} of its answers are none of the choices{instead} "
        f"(base: {unparsed['models']['base']['value']:.0%}): the form of an answer is lost."
    )


def _instructions(line: Row) -> str:
    end = "" if significant(line["change"]) else "; no change is shown"
    return f"Instructions: {_went(line)} of the prompts are followed in full{end}."


def _went(line: Row, digits: int = 0) -> str:
    base, tuned = (line["models"][model]["value"] for model in ("base", "tuned"))
    return f"{base:.3f} to {tuned:.3f}" if digits else f"{base:.0%} to {tuned:.0%}"


def significant(difference: Row) -> bool:
    """Say whether a difference is more than chance would make between equal models."""
    return difference.get("p", 1.0) < CHANCE_OF_ERROR


def failures(lines: list[Row], gate: Gate) -> list[str]:
    """Return one line for each limit of the gate that tuning broke."""
    found = {(line["part"], line["key"]): line for line in lines}
    broken = []
    for name, place in LIMITS.items():
        limit, line = getattr(gate, name), found.get(place)
        if limit is None or line is None or line["change"] is None or -line["change"]["value"] <= limit:
            continue
        base, tuned = (line["models"][model]["value"] for model in ("base", "tuned"))
        broken.append(
            f"params.yaml: gate.{name}: {'.'.join(place)} fell by {base - tuned:.3f} ({base:.3f} to {tuned:.3f}), "
            f"{limit} is allowed; raise mix.ratio or lower train.lr"
        )
    return broken
