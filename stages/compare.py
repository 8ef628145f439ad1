"""Set base beside tuned: what the task gained, what general ability lost, and whether the gate lets it pass.

Reads   metrics/score/{base,tuned}.json, metrics/mmlu/{base,tuned}.json, metrics/mix.json
Writes  metrics/summary.json (the headline figures, for `dvc metrics diff`), metrics/tradeoff.csv (for `dvc plots`)
Run     dvc repro compare
"""

from stages.entry import run
from stages.params import load_params
from stages.records import InputError, Row, read_json, write_json, write_whole
from stages.experiment import Gate

MODELS = ("base", "tuned")
VOC = ("f1", "precision", "recall", "f1_low", "f1_high", "invalid_json", "invented_labels")
MMLU = ("acc", "generated_acc", "unparsed")
TABLE = {
    "VOC F1": ("voc", "f1"),
    "VOC precision": ("voc", "precision"),
    "VOC recall": ("voc", "recall"),
    "general accuracy, by likelihood": ("mmlu", "acc"),
    "general accuracy, by generated answer": ("mmlu", "generated_acc"),
    "general answers that are no choice": ("mmlu", "unparsed"),
}


def summarise(score: Row, mmlu: Row) -> Row:
    """Return the headline figures of one model, of what was measured."""
    parts = {"voc": (VOC, score.get("voc")), "mmlu": (MMLU, mmlu.get("mmlu"))}
    return {part: {key: figures[key] for key in keys} for part, (keys, figures) in parts.items() if figures}


def table(summary: Row) -> str:
    """Return base, tuned and their difference, one measure a line; a dash is what was not measured."""
    lines = [f"{'':38}{'base':>8}{'tuned':>8}{'change':>9}"]
    for title, (part, key) in TABLE.items():
        base, tuned = (summary[model].get(part, {}).get(key) for model in MODELS)
        cells = "".join("       -" if value is None else f"{value:8.3f}" for value in (base, tuned))
        change = "        -" if base is None or tuned is None else f"{tuned - base:+9.3f}"
        lines.append(f"{title:38}{cells}{change}")
    return "\n".join(lines)


def verdict(summary: Row) -> str:
    """Say in one sentence what became of general ability: what was forgotten and what is only unsaid."""
    if not all("mmlu" in summary[model] for model in MODELS):
        return "Nothing was trained: there is nothing to compare."
    base, tuned = summary["base"]["mmlu"], summary["tuned"]["mmlu"]
    known, said = tuned["acc"] - base["acc"], tuned["generated_acc"] - base["generated_acc"]
    if tuned["unparsed"] - base["unparsed"] > 0.2:
        return (
            f"Asked in chat, {tuned['unparsed']:.0%} of the tuned model's answers are none of the choices, of base's "
            f"{base['unparsed']:.0%}: the form of the answer is lost. By likelihood {tuned['acc']:.0%} is known where "
            f"base knew {base['acc']:.0%}."
        )
    return f"General accuracy changed by {known:+.3f} by likelihood and {said:+.3f} by generated answer."


def failures(summary: Row, gate: Gate) -> list[str]:
    """Return one line for each limit of the gate that tuning broke."""
    limits = {"mmlu_drop": ("acc", gate.mmlu_drop), "generated_drop": ("generated_acc", gate.generated_drop)}
    lines = []
    if not all("mmlu" in summary[model] for model in MODELS):
        return lines
    for name, (key, limit) in limits.items():
        base, tuned = (summary[model]["mmlu"][key] for model in MODELS)
        if limit is not None and round(base - tuned, 4) > limit:
            lines.append(
                f"params.yaml: gate.{name}: mmlu.{key} fell by {base - tuned:.3f} ({base:.3f} to {tuned:.3f}), "
                f"{limit} is allowed; raise mix.ratio or lower train.lr"
            )
    return lines


def main() -> None:
    """Read, compare, write, judge."""
    params = load_params()
    summary = {
        model: summarise(
            read_json(f"metrics/score/{model}.json")[model], read_json(f"metrics/mmlu/{model}.json")[model]
        )
        for model in MODELS
    }
    ratio = read_json("metrics/mix.json")["mix"]["achieved"]
    print(f"Trained on {1 - ratio:.0%} customer and {ratio:.0%} general data\n")
    print(table(summary), verdict(summary), sep="\n\n")
    if ratio == 0:
        print("Mix general data in and see what it keeps: dvc exp run -S mix.ratio=0.25")
    both = [model for model in MODELS if {"voc", "mmlu"} <= summary[model].keys()]
    points = "".join(f"{m},{summary[m]['mmlu']['acc']},{summary[m]['voc']['f1']}\n" for m in both)
    write_whole("metrics/tradeoff.csv", lambda part: part.write_text(f"model,mmlu_acc,voc_f1\n{points}"))
    write_json("metrics/summary.json", summary)
    if lines := failures(summary, params.gate):  # the figures stay to be looked at
        raise InputError("\n".join(lines))


if __name__ == "__main__":
    run(main)
