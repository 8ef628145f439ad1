"""Print the rows of the mix that a training step used.

Reads   data/mix/train.jsonl; models/base (its tokenizer)
Writes  to standard output, one JSON object per row: `{step, packed, id, source, category}`
Run     alloy trace <step>

Params, profile and mix must be the same as in the training. `packed` is the number of the packed row within the step,
from 1. Examples with the same number were in one packed row, where attention does not cross from one to the other.
"""

import json
from collections.abc import Iterator
from itertools import islice

from alloy.core.files import InputError, Row, read_jsonl
from alloy.core.settings import load_seed
from alloy.modeling.model_folder import load_model_config, load_tokenizer
from alloy.training.arguments import count_steps
from alloy.training.check_model import resolve_packing
from alloy.training.packing import prepare_examples
from alloy.training.settings import Train
from alloy.training.trainer import EpochSampler


def trace_rows(rows: list[Row], packed: list[list[int]], train: Train, seed: int, step: int) -> Iterator[Row]:
    """Yield the rows that a step used; `packed` has the indices of the rows in each packed row."""
    steps = count_steps(train, len(packed))
    if not 1 <= step <= steps:
        raise InputError(f"step: expected 1 to {steps}, the steps of this training run, got {step}")
    order = EpochSampler(len(packed), steps * train.global_batch, seed)
    start = (step - 1) * train.global_batch
    for number, index in enumerate(islice(order, start, start + train.global_batch), 1):
        for row in (rows[member] for member in packed[index]):
            yield {"step": step, "packed": number, **{key: row[key] for key in ("id", "source", "category")}}


def main(step: int) -> None:
    """Pack the rows as the stage `train` does, and print those of the step."""
    train, _ = resolve_packing(load_model_config("models/base"), Train.load())
    rows = read_jsonl("data/mix/train.jsonl")
    packed = prepare_examples(rows, load_tokenizer("models/base"), train).row_examples
    lines = [json.dumps(row, ensure_ascii=False) for row in trace_rows(rows, packed, train, load_seed(), step)]
    print(*lines, sep="\n", flush=True)
