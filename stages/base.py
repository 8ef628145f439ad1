"""Make the base model: one that exists (docs/models.md), or a small Qwen3 trained on the general data alone.

A model that cannot be trained is refused here, before any other stage runs. The section `train` is read for that alone:
it changes nothing of what is written, so DVC does not watch it here, and the stage `train` checks it again.

Reads   data/prepared/general/general.jsonl, or the model that the profile names
Writes  models/base, metrics/base.json
Run     dvc repro base
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import InputError, Row, write_json
from alloy.core.settings import BadRow, GeneralRows, bad_general_rows, load_sections
from alloy.core.stage import run
from alloy.formats.general import check_rows
from alloy.formats.origin import read_origin
from alloy.modeling.base_model import make_base_model
from alloy.runtime.resume import hash_inputs
from alloy.training import distributed
from alloy.training.check_model import check_model, check_scratch, resolve_packing
from alloy.training.settings import Model, Scratch, Train

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, TokenizersBackend

OUT = Path("models/base")


def usable_rows(path: Path, scratch: Scratch, on_bad_row: BadRow) -> "tuple[list[Row], TokenizersBackend]":
    """Return the general examples that can be trained on, and a tokenizer that learned from all that are well-formed.

    A bad one raises `InputError`, or is left out; the stage `decontaminate` lists and counts those.
    """
    from alloy.modeling.chat_examples import why_unusable
    from alloy.training.tiny_qwen import iterate_texts, new_tokenizer

    read = list(check_rows(path, set()))
    good = [(number, row) for number, row in read if not isinstance(row, InputError)]
    tokenizer = new_tokenizer(iterate_texts(row for _, row in good), scratch)
    bad = [(number, str(row).removeprefix(f"{path}:{number}: ")) for number, row in read if isinstance(row, InputError)]
    rows = []
    for number, row in good:
        if why := why_unusable(tokenizer, row["messages"]):
            bad.append((number, why))
        else:
            rows.append(row)
    if bad:
        origin = read_origin(path)
        errors = [origin.format_error(number, reason) for number, reason in sorted(bad)]
        if on_bad_row is BadRow.stop or not rows:
            raise bad_general_rows(errors)
        print(f"base: {len(bad)} bad general rows left out, the first is {errors[0]}")
    return rows, tokenizer


def train_from_scratch(rows: list[Row], tokenizer: "TokenizersBackend", scratch: Scratch) -> Row | None:
    """Train on every row, save to models/base and return the report; None beside rank 0."""
    from alloy.training.job import TrainingJob
    from alloy.training.run import fit
    from alloy.training.tiny_qwen import new_config, new_model

    config = new_config(tokenizer, scratch)
    done = fit(
        TrainingJob(
            stage="base",
            section="model.scratch.train",
            key=hash_inputs("base", [scratch, *distributed.get_topology()]) if distributed.is_main() else "",
            train=scratch.train,
            seed=scratch.seed,
            config=config,
            tokenizer=tokenizer,
            load_model=lambda dtype: new_model(config),
            output=OUT,
        ),
        rows,
    )
    return done and done[0]


def check(config: "PreTrainedConfig", train: Train) -> None:
    """Refuse a model that cannot be trained as the profile says, and say if its rows will not be packed."""
    check_model(config, train)
    if unpacked := resolve_packing(config, train)[1]:
        print(f"base: {unpacked}")


def main() -> None:
    """Fetch or train."""
    model, train, general_rows = load_sections(Model, Train, GeneralRows)
    report: Row | None
    if model.scratch is None:
        report = make_base_model(model, OUT, partial(check, train=train))
    else:
        check_scratch(model.scratch, train)
        distributed.launch_processes("stages.base", gpu=model.scratch.train.gpu)
        path = Path("data/prepared/general/general.jsonl")
        rows, tokenizer = usable_rows(path, model.scratch, general_rows.on_bad_row)
        report = train_from_scratch(rows, tokenizer, model.scratch)
    if report is None:
        return
    write_json("metrics/base.json", {"base": report})
    print("base: " + ", ".join(f"{key} {value}" for key, value in report.items() if not isinstance(value, dict)))


if __name__ == "__main__":
    run(main)
