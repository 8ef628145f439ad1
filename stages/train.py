"""Fine-tune the base model on the mix.

Reads   data/mix/train.jsonl, models/base, profiles/deepspeed
Writes  models/trained, metrics/train.json, metrics/loss.csv
Run     dvc repro train, over as many processes as `alloy/training/distributed.py` finds
"""

from functools import partial
from pathlib import Path

from alloy.core.files import Row, read_jsonl, write_atomically, write_json
from alloy.core.settings import load_seed
from alloy.core.stage import run
from alloy.core.tables import format_csv
from alloy.modeling import model_folder
from alloy.runtime.resume import hash_inputs
from alloy.training import distributed
from alloy.training.model_card import format_card
from alloy.training.settings import Train

BASE = Path("models/base")
MIX = Path("data/mix/train.jsonl")
OUT = Path("models/trained")


def render_loss_csv(curve: list[Row]) -> str:
    """Return the loss curve as CSV."""
    rows = [(row["step"], row["category"], f"{row['loss']:.4f}") for row in curve]
    return format_csv(("step", "category", "loss"), rows)


def write_report(report: Row, curve: list[Row]) -> None:
    """Write the loss curve and the metrics of the training."""
    write_atomically("metrics/loss.csv", lambda file: file.write_text(render_loss_csv(curve), encoding="utf-8"))
    write_json("metrics/train.json", {"train": report})


def main() -> None:
    """Load model and mix, train, write the metrics."""
    train, seed = Train.load(), load_seed()
    if service := model_folder.read_hosted_name(BASE):
        model_folder.write_hosted(OUT, service)
        write_report({"hosted": service}, [])
        print(f"train: skipped, {service} is hosted, so there are no weights to train")
        return
    distributed.launch_processes("stages.train", gpu=train.gpu)
    rows = read_jsonl(MIX)

    from alloy.training.check_model import check_model, resolve_packing
    from alloy.training.job import TrainingJob
    from alloy.training.run import fit

    base, config = model_folder.read_model_name(BASE), model_folder.load_model_config(BASE)
    check_model(config, train)
    train, packing_note = resolve_packing(config, train)
    if packing_note and distributed.is_main():
        print(f"train: {packing_note}")
    result = fit(
        TrainingJob(
            stage="train",
            section="train",
            key=hash_inputs("train", [train, seed, *distributed.get_topology()]) if distributed.is_main() else "",
            train=train,
            seed=seed,
            config=config,
            tokenizer=model_folder.load_tokenizer(BASE),
            load_model=partial(model_folder.load_weights, BASE),
            output=OUT,
            base=base,
            format_card=partial(format_card, train, seed, base, model_folder.read_origin(BASE), [MIX, BASE]),
        ),
        rows,
    )
    if result is None:
        return
    report, curve = result
    write_report(report, curve)
    print("train: " + ", ".join(f"{key} {value}" for key, value in report.items() if not isinstance(value, dict)))
    seen = ", ".join(f"{counts['examples']:,} of {name}" for name, counts in report["source"].items())
    print(f"train: examples seen: {seen}; general share {report['general_share']['examples']:.4f}")


if __name__ == "__main__":
    run(main)
