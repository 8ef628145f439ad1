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


def make_voc(right: int, full: int | None) -> tuple[Row, list[Row]]:
    """Return the metrics and rows of the customer task; `full` answers are correct with their emotions."""
    shares = {"f1": right / UNITS} | ({} if full is None else {"f1_full": full / UNITS})
    intervals = {f"{key}_low": share - 0.05 for key, share in shares.items()}
    intervals |= {f"{key}_high": share + 0.05 for key, share in shares.items()}
    shares |= dict.fromkeys(("precision", "recall"), right / UNITS)
    errors = dict.fromkeys(("invalid_json", "invented_labels", "broken_paths"), 0.0)
    matched_full = [{}] * UNITS if full is None else [{"matched_full": matched} for matched in make_ones(full)]
    rows = [
        {"id": f"c{number}", "matched": matched, "predicted": 1, "gold": 1, **more}
        for number, (matched, more) in enumerate(zip(make_ones(right), matched_full, strict=True))
    ]
    return {"comments": UNITS, **shares, **intervals, "nova_f1": 0.2, **errors}, rows


def make_questions(acc: int, generated: int, unparsed: int, answers: list[str]) -> tuple[Row, list[Row]]:
    """Return the metrics and rows of the stage `mmlu`."""
    metrics = {
        "questions": UNITS,
        "chance": 0.25,
        "generated_chance": 0.25,
        **dict.fromkeys(LIKELIHOOD, acc / UNITS),
        **make_generated_row(generated / UNITS),
        "unparsed": unparsed / UNITS,
    }
    flags = zip(make_ones(acc), make_ones(generated), reversed(make_ones(unparsed)), strict=True)
    rows = [
        {"id": f"q{number}", **dict.fromkeys(LIKELIHOOD, likely), **make_generated_row(named), "unparsed": without}
        for number, (likely, named, without) in enumerate(flags)
    ]
    return metrics, add_answers(rows, answers)


def make_instructions(followed: int, answers: list[str]) -> tuple[Row, list[Row]]:
    """Return the metrics and rows of the stage `ifeval`: two instructions per prompt, the first always followed."""
    share = (UNITS + followed) / (2 * UNITS)
    metrics = {"prompts": UNITS, "instructions": 2 * UNITS, "prompt_strict": followed / UNITS}
    metrics |= {"instruction_strict": share, "instruction_loose": share}
    rows = [
        {"id": f"p{number}", "prompt_strict": right, "instruction_strict": [1, right], "instruction_loose": [1, right]}
        for number, right in enumerate(make_ones(followed))
    ]
    return metrics, add_answers(rows, answers)


def make_chats(leaked: int) -> tuple[Row, list[Row]]:
    """Return the metrics and rows of the stage `chat`; the first `leaked` answers are labels."""
    rows = [
        {
            "id": f"chat{n}",
            "category": "fact",
            "messages": [{"role": "user", "content": f"What is {n}?"}],
            "finish": "stop",
        }
        for n in range(PROMPTS)
    ]
    return {"answers": PROMPTS}, add_answers(rows, [LEAKED if n < leaked else f"It is {n}." for n in range(PROMPTS)])


def make_losses(loss: float, kl: float) -> tuple[Row, list[Row]]:
    """Return the metrics and rows of the stage `general_loss`; rows have 0.5 to 1.5 times the mean."""
    factors = [0.5 + number / (UNITS - 1) for number in range(UNITS)]
    rows = [
        {"id": f"g{number}", "tokens": 10, "nats": 10 * loss * factor, "kl": 10 * kl * factor}
        for number, factor in enumerate(factors)
    ]
    return {"rows": UNITS, "tokens": 10 * UNITS, "general": loss, "kl": kl}, rows


def add_answers(rows: list[Row], answers: list[str]) -> list[Row]:
    return [{**row, "answer": answer, "cut": 0} for row, answer in zip(rows, answers, strict=True)]


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
    `kl` are means in nats per token. `full` answers are correct with their emotions; None if the labels have no
    emotions.
    """
    answers = [LEAKED if number >= UNITS - leak else f"Well, {number}." for number in range(UNITS)]
    parts = {
        "voc": make_voc(f1, full),
        "mmlu": make_questions(acc, generated, unparsed, answers),
        "ifeval": make_instructions(ifeval, answers),
        "loss": make_losses(loss, kl),
        "chat": make_chats(chat),
    }
    metrics = {name: metrics_of_part for name, (metrics_of_part, _) in parts.items()}
    return (metrics | {"general": general} if general else metrics), {name: rows for name, (_, rows) in parts.items()}


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
