"""Make the base model: pin a hub repository, or train a small Qwen3 from scratch on the general data alone.

Reads   data/<general>/general.jsonl
Writes  models/base, metrics/base.json
Run     dvc repro base
"""

import shutil
from pathlib import Path

from stages.checkpoint import download, write_reference
from stages.entry import run
from stages.general import read_general
from stages.params import Scratch, load_params, load_profile
from stages.records import Row, write_json

OUT = Path("models/base")


def train_from_scratch(rows: list[Row], scratch: Scratch, seed: int) -> Row:
    """Train on every row, save to models/base and return the report."""
    from transformers import set_seed

    from stages.scratch import general_texts, new_model, new_tokenizer
    from stages.sft import fit

    set_seed(seed)
    tokenizer = new_tokenizer(general_texts(rows), scratch)
    model = new_model(tokenizer, scratch)
    report, _ = fit(model, tokenizer, rows, scratch.train, seed, OUT)
    return {"parameters": model.num_parameters(), "vocab_size": len(tokenizer), **report}


def main() -> None:
    """Pin or train."""
    params = load_params()
    model = load_profile(params.profile).model
    shutil.rmtree(OUT, ignore_errors=True)
    if model.scratch is None:
        assert model.hub and model.revision  # `Model` lets no other case through
        download(model.hub, model.revision)
        write_reference(OUT, model.hub, model.revision)
        report: Row = {"hub": model.hub, "revision": model.revision}
    else:
        rows = read_general(Path("data") / params.data.general / "general.jsonl")
        report = train_from_scratch(rows, model.scratch, params.seed)
    write_json("metrics/base.json", {"base": {"train": report}})
    print("base: " + ", ".join(f"{key} {value}" for key, value in report.items()))


if __name__ == "__main__":
    run(main)
