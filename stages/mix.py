"""Mix customer examples and general examples into the training set, in exactly the requested proportion.

Reads   data/split/train.jsonl, taxonomy.json, task.json; data/decontaminate/general.jsonl, or
        data/rehearse/general.jsonl if `mix.general` is self; models/base (its tokenizer); metrics/split.json,
        decontaminate.json, rehearse.json (how many rows were left out)
Writes  data/mix/train.jsonl (chat messages with their source; general rows unchanged), data/mix/README.md (the data
        card), metrics/mix.json
Run     dvc repro mix; then `alloy trace <step>` prints the rows that a training step used

General rows are `mix.ratio` of the mix, counted in `mix.unit`. Mixes are nested: the general rows of a small ratio are
also in the mix of a larger ratio (alloy/mixing/proportional_sampler.py). Customer rows keep their order.

Rows are encoded as in training. A row longer than `train.max_length` tokens is left out before sampling and counted, or
stops the stage (`train.on_long_row`). All customer rows are encoded; general rows only in sampling order, until there
are enough. A hosted model has no tokenizer here, so no row is measured or left out.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from alloy.core.files import InputError, Row, write_atomically, write_json, write_lines
from alloy.core.metrics_file import read_metrics
from alloy.core.settings import load_sections, load_seed
from alloy.core.stage import run
from alloy.formats.general import CUSTOMER
from alloy.labeling.settings import Prompt
from alloy.labeling.task import SPLIT_FOLDER, load_task
from alloy.mixing.customer_examples import write_customer_rows
from alloy.mixing.data_card import build_manifest, render_card
from alloy.mixing.mixture import Encoding, RowSizes, draw_mixture
from alloy.mixing.proportional_sampler import DrawnRow
from alloy.mixing.row_index import open_row_index
from alloy.mixing.sampling_order import compute_position
from alloy.mixing.settings import General, Mix, Unit
from alloy.modeling.model_folder import load_tokenizer, read_hosted_name
from alloy.training.settings import LongRow, Train

GENERAL = {General.data: Path("data/decontaminate/general.jsonl"), General.self: Path("data/rehearse/general.jsonl")}
BASE = Path("models/base")
INPUTS = [SPLIT_FOLDER / name for name in ("train.jsonl", "taxonomy.json", "task.json")]
MAX_DEVIATION = 0.01  # from the requested share; a larger deviation is reported


def interleave_rows(
    customer: RowSizes, customers: list[DrawnRow], general: RowSizes, generals: list[DrawnRow], seed: int
) -> Iterator[bytes]:
    """Return the lines of the mix: customer rows in their order, general rows spread evenly among them.

    Algorithm: each row gets a position from 0 to 1, and the rows are sorted by it.

    1. Customer row i of n: (i + 0.5) / n.
    2. General row: a 64-bit hash of seed and id (`compute_position`), divided by 2**64. A row that is drawn again gets
       another hash each time.

    So the position of a general row depends only on the seed and its id.

    Example: customer rows A and B have positions 0.25 and 0.75. A general row with the hash 0.6 * 2**64 comes between.
    """
    row_index = general.row_index
    indices = np.array([draw.index for draw in generals], np.int64)
    first_positions = row_index.table["position"][indices].tolist()
    positions = [
        compute_position(seed, row_index.read_row(draw.index)["id"], draw.repetition) if draw.repetition else position
        for draw, position in zip(generals, first_positions, strict=True)
    ]
    count = len(customers)
    customer_positions = (np.arange(count) + 0.5) / max(count, 1)
    order = np.argsort(np.concatenate([customer_positions, np.array(positions, np.float64) / 2**64]), kind="stable")
    customer_lines = customer.row_index.read_lines(np.array([draw.index for draw in customers], np.int64))
    general_lines = row_index.read_lines(indices[order[order >= count] - count])
    return (next(customer_lines if index < count else general_lines) for index in order.tolist())


def count_left_out(examples: int, general: General, report: Row) -> Row:
    """Return the number of comments and general rows that are left out, by reason.

    `examples` is the number of comments that are part of every prompt.
    """
    split = read_metrics("metrics/split.json", "split", required=("rejected", "left_out"))
    needed = ("why", "held_out", "same_prompt")
    decontaminate = read_metrics("metrics/decontaminate.json", "decontaminate", required=needed)
    comments = {"bad": split["rejected"], "similar to a test comment": split["left_out"], "in every prompt": examples}
    rows = {"bad": decontaminate["rejected"]} | {
        f"shares {reason} with a test": count for reason, count in decontaminate["why"].items()
    }
    rows |= {
        "held out for the general loss": decontaminate["held_out"],
        "same prompt as a held-out row": decontaminate["same_prompt"],
    }
    if general is General.self:
        dropped = read_metrics("metrics/rehearse.json", "rehearse").get("dropped")
        if dropped is None:
            raise InputError(
                "metrics/rehearse.json: expected metrics for mix.general: self, got those for data; "
                "run `dvc repro rehearse`"
            )
        reasons = {"context": "prompt longer than the context", "refused": "answer refused", "failed": "answer failed"}
        rows |= {reasons.get(name, f"answer of the base model {name}"): count for name, count in dropped.items()}
    if "max_length" in report:
        over_length = f"longer than train.max_length ({report['max_length']} tokens)"
        comments[over_length] = report["too_long"].get(CUSTOMER, 0)
        rows[over_length] = sum(count for name, count in report["too_long"].items() if name != CUSTOMER)
    return {f"comments: {reason}": count for reason, count in comments.items()} | {
        f"general: {reason}": count for reason, count in rows.items()
    }


def main() -> None:
    """Read the rows, sample, write the mix, its card and its metrics."""
    mix, prompt, train = load_sections(Mix, Prompt, Train)
    seed, source = load_seed(), GENERAL[mix.general]
    service = read_hosted_name(BASE)
    if service and mix.unit is not Unit.examples:
        raise InputError(
            f"params.yaml: mix.unit: expected examples, got {mix.unit.value}; {service} is hosted, so its tokens "
            "cannot be counted"
        )
    if not source.is_file():
        raise InputError(f"{source}: no such file; `dvc repro` creates it")
    stop = train.on_long_row is LongRow.stop
    encoding = None if service else Encoding(load_tokenizer(BASE), train.assistant_turns, train.max_length, stop)
    prompts = load_task(prompt)
    with TemporaryFile() as customer_file, source.open("rb") as general_file:
        customer = RowSizes(write_customer_rows(customer_file, prompts, seed), mix.unit, encoding)
        general = RowSizes(open_row_index(general_file, seed), mix.unit, encoding)
        customers, generals = draw_mixture(mix, customer, general)
        report = build_manifest(mix, (customer, customers), (general, generals))
        exclusions = count_left_out(len(prompts.examples), mix.general, report)
        card_text = render_card(report, mix, exclusions, [*INPUTS, source, BASE], general.row_index.kinds)
        write_lines("data/mix/train.jsonl", interleave_rows(customer, customers, general, generals, seed))
    write_atomically("data/mix/README.md", lambda file: file.write_text(card_text, encoding="utf-8"))
    write_json("metrics/mix.json", {"mix": report})
    print(
        f"mix: {report['rows']} rows, general share {report['achieved']:.4f} of the {mix.unit.value.replace('_', ' ')}"
    )
    if too_long := sum(report.get("too_long", {}).values()):
        limit = f"train.max_length ({train.max_length} tokens)"
        print(f"mix: {too_long} rows longer than {limit} were left out before the draw")
    if abs(report["achieved"] - report["asked"]) > MAX_DEVIATION:
        print("mix: there are too few rows, or some are too large, to come closer to mix.ratio")


if __name__ == "__main__":
    gc.disable()  # rows have no reference cycles, and searching for them takes a third of the time
    run(main)
