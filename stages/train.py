"""Fine-tune the base model on the mix.

Reads   data/mix/train.jsonl, models/base
Writes  models/tuned, metrics/train.json, metrics/loss.csv
Run     dvc repro train
"""

import shutil
from pathlib import Path

from stages.entry import run
from stages.params import load_params, load_profile
from stages.records import read_jsonl, write_json, write_whole

OUT = Path("models/tuned")


def main() -> None:
    """Load, train, save."""
    params = load_params()
    train = load_profile(params.profile).train
    rows = read_jsonl("data/mix/train.jsonl")
    shutil.rmtree(OUT, ignore_errors=True)

    from transformers import set_seed

    from stages.checkpoint import load
    from stages.sft import fit

    set_seed(params.seed)
    model, tokenizer = load("models/base")
    report, losses = fit(model, tokenizer, rows, train, params.seed, OUT)
    table = "step,loss\n" + "".join(f"{row['step']},{row['loss']:.4f}\n" for row in losses)
    write_whole("metrics/loss.csv", lambda part: part.write_text(table, encoding="utf-8"))
    write_json("metrics/train.json", {"train": report})
    print("train: " + ", ".join(f"{key} {value}" for key, value in report.items()))


if __name__ == "__main__":
    run(main)
