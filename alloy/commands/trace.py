"""Tell which rows of the mix a training step took.

Reads   data/mix/train.jsonl; models/base (its tokenizer)
Writes  to standard output, a JSON object a row: `{step, packed, id, source, category}`
Run     alloy trace <step>

Params, profile and mix must be those of the training. `packed` numbers the packed rows of the step: examples of one
were side by side, without seeing each other.
"""

import json
from collections.abc import Iterator
from itertools import islice

from alloy.core.files import InputError, Row, read_jsonl
from alloy.core.settings import load_seed
from alloy.modeling.architecture import load_config
from alloy.modeling.model_folder import load_tokenizer, resolve_weights
from alloy.training.arguments import count_steps
from alloy.training.check_model import resolve_packing
from alloy.training.packing import prepare_examples
from alloy.training.settings import Train
from alloy.training.trainer import EpochSampler


def trace(rows: list[Row], packed: list[list[int]], train: Train, seed: int, step: int) -> Iterator[Row]:
    """Yield what a step took; `packed` are the numbers of the rows that are packed together."""
    steps = count_steps(train, len(packed))
    if not 1 <= step <= steps:
        raise InputError(f"there is no step {step}; training has steps 1 to {steps}")
    order = EpochSampler(len(packed), steps * train.global_batch, seed)
    start = (step - 1) * train.global_batch
    for number, place in enumerate(islice(order, start, start + train.global_batch), 1):
        for row in (rows[one] for one in packed[place]):
            yield {"step": step, "packed": number, **{key: row[key] for key in ("id", "source", "category")}}


def main(step: int) -> None:
    """Pack as `train` does, and look the step up."""
    train, _ = resolve_packing(load_config(resolve_weights("models/base")), Train.load())
    rows = read_jsonl("data/mix/train.jsonl")
    packed = prepare_examples(rows, load_tokenizer("models/base"), train).row_examples
    lines = [json.dumps(row, ensure_ascii=False) for row in trace(rows, packed, train, load_seed(), step)]
    print(*lines, sep="\n", flush=True)
