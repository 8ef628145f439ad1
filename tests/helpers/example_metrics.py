"""Make example outputs of the stages that measure models: rows, and the metrics computed from them."""

import shutil
from pathlib import Path
from typing import Any

from alloy.comparison.answers import add_leakage, flag_answers
from alloy.comparison.compare import compare_models
from alloy.comparison.metrics import STAGES
from alloy.core.files import write_json, write_jsonl
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.leakage import TaskFormat

Row = dict[str, Any]
UNITS = 100  # comments, questions, prompts
PROMPTS = 12  # of chat
TAXONOMY = Taxonomy(("L1",), {(label,): "" for label in ("food", "service", "price")})
TASK: Row = {"levels": ["L1"], "has_content": False, "emotions": ["neutral", "negative", "positive"]}
FORMAT = TaskFormat.from_task(TAXONOMY, TASK)
LEAKED = '[{"L1": "food", "emotion": "neutral"}, {"L1": "service", "emotion": "negative"}]'
# The headline and the formulations to choose it from. In these models all are equal.
LIKELIHOOD = ("acc", "cloze_acc", "cloze_acc_norm", "letters_acc")


def make_ones(count: int) -> list[int]:
    return [1] * count + [0] * (UNITS - count)


def make_generated_row(right: float) -> Row:
    return {"generated_acc": right, "generated_strict": right}


def make_metrics(
    f1: int = 10,
    acc: int = 80,
    generated: int = 70,
    unparsed: int = 1,
    ifeval: int = 60,
    leak: int = 0,
    chat: int = 0,
    loss: float = 2.0,
    kl: float = 0.0,
    full: int | None = None,
    **general: float,
) -> tuple[Row, dict[str, list[Row]]]:
    """Return (metrics, rows) of a model. Counts are of `UNITS` items: right ones, or unparsed ones for `unparsed`.

    `leak` answers to questions and to prompts are labels, and `chat` answers to the `PROMPTS` chat prompts. `loss` and
    `kl` are means in nats per token; the values of rows are between 0.5 and 1.5 times the mean. `full` answers are
    correct with their emotions; None if the labels have no emotions.
    """
    matched = make_ones(f1)
    answers = [LEAKED if number >= UNITS - leak else f"Well, {number}." for number in range(UNITS)]
    unparsed_flags = [0] * (UNITS - unparsed) + [1] * unparsed
    prompts = make_ones(ifeval)
    rows = {
        "voc": [{"id": f"c{n}", "matched": matched[n], "predicted": 1, "gold": 1} for n in range(UNITS)],
        "mmlu": [
            {
                "id": f"q{n}",
                **dict.fromkeys(LIKELIHOOD, a),
                **make_generated_row(g),
                "unparsed": u,
                "answer": answer,
                "cut": 0,
            }
            for n, (a, g, u, answer) in enumerate(
                zip(make_ones(acc), make_ones(generated), unparsed_flags, answers, strict=True)
            )
        ],
        "ifeval": [
            {
                "id": f"p{n}",
                "prompt_strict": p,
                "instruction_strict": [1, p],
                "instruction_loose": [1, p],
                "answer": answer,
                "cut": 0,
            }
            for n, (p, answer) in enumerate(zip(prompts, answers, strict=True))
        ],
        "chat": [
            {
                "id": f"chat{n}",
                "category": "fact",
                "messages": [{"role": "user", "content": f"What is {n}?"}],
                "answer": LEAKED if n < chat else f"It is {n}.",
                "cut": 0,
            }
            for n in range(PROMPTS)
        ],
        "loss": [
            {"id": f"g{n}", "tokens": 10, "nats": 10 * loss * spread, "kl": 10 * kl * spread}
            for n in range(UNITS)
            for spread in [0.5 + n / (UNITS - 1)]
        ],
    }
    share = f1 / UNITS
    voc: Row = {
        "comments": UNITS,
        "f1": share,
        "precision": share,
        "recall": share,
        "f1_low": share - 0.05,
        "f1_high": share + 0.05,
    }
    if full is not None:
        for row, held in zip(rows["voc"], make_ones(full), strict=True):
            row["matched_full"] = held
        ends = {"f1_full_low": full / UNITS - 0.05, "f1_full_high": full / UNITS + 0.05}
        voc |= {"f1_full": full / UNITS, **ends}
    instructions = (UNITS + ifeval) / (2 * UNITS)
    metrics: Row = {
        "voc": {**voc, "nova_f1": 0.2, "invalid_json": 0.0, "invented_labels": 0.0, "broken_paths": 0.0},
        "mmlu": {
            "questions": UNITS,
            "chance": 0.25,
            "generated_chance": 0.25,
            **dict.fromkeys(LIKELIHOOD, acc / UNITS),
            **make_generated_row(generated / UNITS),
            "unparsed": unparsed / UNITS,
        },
        "ifeval": {
            "prompts": UNITS,
            "instructions": 2 * UNITS,
            "prompt_strict": ifeval / UNITS,
            "instruction_strict": instructions,
            "instruction_loose": instructions,
        },
        "loss": {"rows": UNITS, "tokens": 10 * UNITS, "general": loss, "kl": kl},
        "chat": {"answers": PROMPTS},
    }
    return (metrics | {"general": general} if general else metrics), rows


def make_svm_metrics(f1: int = 30, full: int | None = None) -> tuple[Row, dict[str, list[Row]]]:
    metrics, rows = make_metrics(f1=f1, full=full)
    return {"voc": metrics["voc"]}, {"voc": rows["voc"]}


def compare(
    tuned: tuple[Row, dict], base: tuple[Row, dict] | None = None, svm: tuple[Row, dict] | None = None
) -> list[Row]:
    models = {"base": base or make_metrics(), "tuned": tuned, "svm": svm or make_svm_metrics()}
    rows = {model: flag_answers(rows_of_model, FORMAT) for model, (_, rows_of_model) in models.items()}
    metrics = {model: add_leakage(metrics_of_model, rows[model]) for model, (metrics_of_model, _) in models.items()}
    return compare_models(metrics, rows, 500, 0)


def write_costs(achieved: float = 0.25, customer: int = 30, too_long: int = 0, unseen: int = 0) -> None:
    """Write the files from which `compare` and `report` read the costs: 30 customer comments, 40 examples, two cores.

    `customer` customer examples were trained on. `unseen` more are in the mix, and `too_long` were left out of it.
    """
    source = {"customer": {"rows": customer + unseen}}
    mix = {"achieved": achieved, "unit": "examples", "rows": 40, "repeats": 0, "source": source}
    write_json("metrics/mix.json", {"mix": {**mix, "too_long": {"customer": too_long}}})
    speed = {"tokens": 1000, "tokens_per_second": 10, "core_hours": 0.056}
    counts = {"examples": 40 - unseen, "dropped": 0, "steps": 80}
    seen = {"source": {"customer": {"examples": customer}}, "general_share": {"examples": achieved}}
    write_json("metrics/train.json", {"train": {**counts, **speed, **seen}})
    write_json("metrics/base.json", {"base": {**counts, **speed, "tokens": 500, "core_hours": 0.028}})
    baseline = {"train_seconds": 7.0, "comments_per_second": 27587.0, "core_hours": 0.002}
    write_json("metrics/svm.json", {"svm": {"svm": baseline}})
    write_json("metrics/infer/base.json", {"base": {"infer": {"comments_per_second": 22.2}}})
    write_json("metrics/infer/tuned.json", {"tuned": {"infer": {"comments_per_second": 12.5}}})
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    write_json("data/split/task.json", TASK)
    write_jsonl("data/split/train.jsonl", [{"id": str(number)} for number in range(30)])
    Path("profiles").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[2] / "profiles/demo.yaml", "profiles")


def write_metrics(models: dict[str, tuple[Row, dict[str, list[Row]]]]) -> None:
    """Write the metrics files of the models, as their stages do."""
    for model, (metrics, rows) in models.items():
        for part, stage in STAGES.items():
            if model == "svm" and part != "voc":
                continue
            stage_metrics = {part: metrics[part]} if part in metrics else {}
            write_json(Path(f"metrics/{stage}/{model}.json"), {model: stage_metrics})
            write_jsonl(f"metrics/{stage}/{model}.jsonl", rows.get(part, []))
    if {"base", "tuned"} <= models.keys():
        write_loss(models["base"], models["tuned"])


def write_loss(base: tuple[Row, dict[str, list[Row]]], tuned: tuple[Row, dict[str, list[Row]]]) -> None:
    """Write the general loss of two models, as its stage does; a model without a loss gets an empty dict."""
    metrics = {
        name: {"loss": model_metrics["loss"]} if "loss" in model_metrics else {}
        for name, (model_metrics, _) in [("base", base), ("tuned", tuned)]
    }
    write_json("metrics/general_loss.json", metrics)
    pairs = zip(base[1].get("loss", []), tuned[1].get("loss", []), strict=False)
    rows = [{**after, "base": before["nats"], "tuned": after["nats"]} for before, after in pairs]
    write_jsonl("metrics/general_loss.jsonl", rows)
