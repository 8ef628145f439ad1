"""What a model's stages leave behind, rows and the figures that follow from them, for a chosen number of right ones."""

import shutil
from pathlib import Path
from typing import Any

from alloy.comparison.compare import compare
from alloy.core.files import write_json, write_jsonl

Row = dict[str, Any]
UNITS = 100  # comments, questions, prompts
# The headline and the formulations that it is chosen from, alike in these models.
LIKELIHOOD = ("acc", "cloze_acc", "cloze_acc_norm", "letters_acc")


def ones(count: int) -> list[int]:
    return [1] * count + [0] * (UNITS - count)


def generated_row(right: float) -> Row:
    return {"generated_acc": right, "generated_strict": right}


def measured(
    f1: int = 10,
    acc: int = 80,
    generated: int = 70,
    unparsed: int = 1,
    ifeval: int = 60,
    json: int = 0,
    **general: float,
) -> tuple[Row, dict[str, list[Row]]]:
    """Return (figures, rows) of a model with each of these right, or unparsed, in a hundred; `json` answers are so."""
    matched = ones(f1)
    answers = ["[{}]" if number >= UNITS - json else "well" for number in range(UNITS)]
    said = [0] * (UNITS - unparsed) + [1] * unparsed
    prompts = ones(ifeval)
    rows = {
        "voc": [{"id": f"c{n}", "matched": matched[n], "predicted": 1, "gold": 1} for n in range(UNITS)],
        "mmlu": [
            {"id": f"q{n}", **dict.fromkeys(LIKELIHOOD, a), **generated_row(g), "unparsed": u, "answer": answer}
            for n, (a, g, u, answer) in enumerate(zip(ones(acc), ones(generated), said, answers, strict=True))
        ],
        "ifeval": [
            {"id": f"p{n}", "prompt_strict": p, "instruction_strict": [1, p], "instruction_loose": [1, p]}
            for n, p in enumerate(prompts)
        ],
    }
    share = f1 / UNITS
    voc = {
        "comments": UNITS,
        "f1": share,
        "precision": share,
        "recall": share,
        "f1_low": share - 0.05,
        "f1_high": share + 0.05,
    }
    instructions = (UNITS + ifeval) / (2 * UNITS)
    figures: Row = {
        "voc": {**voc, "nova_f1": 0.2, "invalid_json": 0.0, "invented_labels": 0.0, "broken_paths": 0.0},
        "mmlu": {
            "questions": UNITS,
            "chance": 0.25,
            "generated_chance": 0.25,
            **dict.fromkeys(LIKELIHOOD, acc / UNITS),
            **generated_row(generated / UNITS),
            "unparsed": unparsed / UNITS,
        },
        "ifeval": {
            "prompts": UNITS,
            "instructions": 2 * UNITS,
            "prompt_strict": ifeval / UNITS,
            "instruction_strict": instructions,
            "instruction_loose": instructions,
        },
    }
    return (figures | {"general": general} if general else figures), rows


def rival(f1: int = 30) -> tuple[Row, dict[str, list[Row]]]:
    figures, rows = measured(f1=f1)
    return {"voc": figures["voc"]}, {"voc": rows["voc"]}


def lines(
    tuned: tuple[Row, dict], base: tuple[Row, dict] | None = None, svm: tuple[Row, dict] | None = None
) -> list[Row]:
    models = {"base": base or measured(), "tuned": tuned, "svm": svm or rival()}
    return compare({m: f for m, (f, _) in models.items()}, {m: r for m, (_, r) in models.items()}, 500, 0)


def spent(achieved: float = 0.25, customer: int = 30, dropped: int = 0) -> None:
    """Put what was spent where `compare` and `report` read it: of 30 customer comments, 40 examples, on two cores."""
    source = {"customer": {"rows": customer}}
    write_json("metrics/mix.json", {"mix": {"achieved": achieved, "rows": 40, "source": source}})
    speed = {"tokens": 1000, "tokens_per_second": 10, "core_hours": 0.056}
    given = {"examples": 40 - dropped, "dropped": dropped, "steps": 80}
    write_json("metrics/train.json", {"train": {**given, **speed}})
    write_json("metrics/base.json", {"base": {**given, **speed, "tokens": 500, "core_hours": 0.028}})
    rival = {"train_seconds": 7.0, "comments_per_second": 27587.0, "core_hours": 0.002}
    write_json("metrics/svm.json", {"svm": {"svm": rival}})
    write_json("metrics/infer/base.json", {"base": {"infer": {"comments_per_second": 22.2}}})
    write_json("metrics/infer/tuned.json", {"tuned": {"infer": {"comments_per_second": 12.5}}})
    write_jsonl("data/split/train.jsonl", [{"id": str(number)} for number in range(30)])
    Path("profiles").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[2] / "profiles/demo.yaml", "profiles")


def write(models: dict[str, tuple[Row, dict[str, list[Row]]]]) -> None:
    """Put the files of the models where their stages would."""
    for model, (figures, rows) in models.items():
        for part, stage in (("voc", "score"), ("mmlu", "mmlu"), ("ifeval", "ifeval"), ("general", "general")):
            if model == "svm" and part != "voc":
                continue
            own = {part: figures[part]} if part in figures else {}
            write_json(Path(f"metrics/{stage}/{model}.json"), {model: own})
            if part != "general":
                write_jsonl(f"metrics/{stage}/{model}.jsonl", rows.get(part, []))
