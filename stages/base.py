"""Make the base model: one that exists (docs/models.md), or a small Qwen3 trained on the general data alone.

A model that cannot be trained is refused here, before any other stage runs.

Reads   data/prepared/general/general.jsonl, or the model that the profile names
Writes  models/base, metrics/base.json
Run     dvc repro base
"""

from pathlib import Path

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.formats.general import read_general
from alloy.modeling.base_model import make_base_model
from alloy.runtime.resume import fingerprint
from alloy.training import distributed
from alloy.training.settings import Model, Scratch

OUT = Path("models/base")


def train_from_scratch(rows: list[Row], scratch: Scratch) -> Row | None:
    """Train on every row, save to models/base and return the report; None beside rank 0."""
    from alloy.training.job import TrainingJob
    from alloy.training.run import fit
    from alloy.training.tiny_qwen import general_texts, new_config, new_model, new_tokenizer

    tokenizer = new_tokenizer(general_texts(rows), scratch)
    config = new_config(tokenizer, scratch)
    done = fit(
        TrainingJob(
            stage="base",
            section="model.scratch.train",
            key=fingerprint("base", [scratch, *distributed.topology()]) if distributed.is_main() else "",
            train=scratch.train,
            seed=scratch.seed,
            config=config,
            tokenizer=tokenizer,
            model=lambda dtype: new_model(config),
            out=OUT,
        ),
        rows,
    )
    return done and done[0]


def main() -> None:
    """Fetch or train."""
    model = Model.load()
    report: Row | None
    if model.scratch is None:
        report = make_base_model(model, OUT)
    else:
        distributed.spread("stages.base", gpu=model.scratch.train.gpu)
        rows = read_general(Path("data/prepared/general/general.jsonl"))
        report = train_from_scratch(rows, model.scratch)
    if report is None:
        return
    write_json("metrics/base.json", {"base": report})
    print("base: " + ", ".join(f"{key} {value}" for key, value in report.items()))


if __name__ == "__main__":
    run(main)
