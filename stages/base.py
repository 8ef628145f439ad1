"""Make the base model: an existing one (docs/models.md), or a small Qwen3 trained only on the general data.

A model that cannot be trained raises an error here, before any other stage runs. The section `train` is read only for
this check. It does not change the outputs, so DVC does not watch it here; the stage `train` checks it again.

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


def select_usable_rows(path: Path, scratch: Scratch, on_bad_row: BadRow) -> "tuple[list[Row], TokenizersBackend]":
    """Return the general examples that can be trained on, and a tokenizer trained on all well-formed examples.

    By `on_bad_row`, bad examples raise `InputError` or are left out; the stage `decontaminate` lists and counts them.
    """
    from alloy.modeling.chat_examples import find_row_problem
    from alloy.training.tiny_qwen import iterate_texts, new_tokenizer

    checked = list(check_rows(path, set()))
    good = [(number, row) for number, row in checked if not isinstance(row, InputError)]
    tokenizer = new_tokenizer(iterate_texts(row for _, row in good), scratch)
    bad = [
        (number, str(row).removeprefix(f"{path}:{number}: ")) for number, row in checked if isinstance(row, InputError)
    ]
    rows = []
    for number, row in good:
        if why := find_row_problem(tokenizer, row["messages"]):
            bad.append((number, why))
        else:
            rows.append(row)
    if bad:
        origin = read_origin(path)
        errors = [origin.format_error(number, reason) for number, reason in sorted(bad)]
        if on_bad_row is BadRow.stop or not rows:
            raise bad_general_rows(errors)
        print(f"base: {len(bad)} bad general rows were left out; the first is {errors[0]}")
    return rows, tokenizer


def train_from_scratch(rows: list[Row], tokenizer: "TokenizersBackend", scratch: Scratch) -> Row | None:
    """Train on all rows, save to models/base and return the report; return None on ranks other than 0."""
    from alloy.training.job import TrainingJob
    from alloy.training.run import fit
    from alloy.training.tiny_qwen import new_config, new_model

    config = new_config(tokenizer, scratch)
    result = fit(
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
    return result and result[0]


def check_trainable(config: "PreTrainedConfig", train: Train) -> None:
    """Raise `InputError` if the model cannot be trained as in the profile; print a note if rows will not be packed."""
    check_model(config, train)
    if packing_note := resolve_packing(config, train)[1]:
        print(f"base: {packing_note}")


def main() -> None:
    """Fetch or train the base model, and write its metrics."""
    model, train, general_rows = load_sections(Model, Train, GeneralRows)
    report: Row | None
    if model.scratch is None:
        report = make_base_model(model, OUT, partial(check_trainable, train=train))
    else:
        check_scratch(model.scratch, train)
        distributed.launch_processes("stages.base", gpu=model.scratch.train.gpu)
        path = Path("data/prepared/general/general.jsonl")
        rows, tokenizer = select_usable_rows(path, model.scratch, general_rows.on_bad_row)
        report = train_from_scratch(rows, tokenizer, model.scratch)
    if report is None:
        return
    write_json("metrics/base.json", {"base": report})
    print("base: " + ", ".join(f"{key} {value}" for key, value in report.items() if not isinstance(value, dict)))


if __name__ == "__main__":
    run(main)
