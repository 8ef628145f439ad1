"""Mix customer examples with general ones into the training set, exactly as was asked.

Reads   data/split/train.jsonl, taxonomy.json, task.json; data/decontaminate/general.jsonl, or
        data/rehearse/general.jsonl where `mix.general` is self; models/base (its tokenizer); metrics/split.json,
        decontaminate.json, rehearse.json (what was left out)
Writes  data/mix/train.jsonl (chat messages with their source; general rows as they are), data/mix/README.md (the
        card), metrics/mix.json
Run     dvc repro mix; then `python -m alloy.commands.trace <step>` tells which rows a training step took

General rows make up `mix.ratio` of the whole, counted in `mix.unit`. Arms are nested: the general rows of a small ratio
are among those of a larger one (alloy/mixing/proportional_sampler.py), and customer rows keep their order.

Rows are encoded as training will do it. One over `train.max_length` tokens is left out before the draw and counted, or
stops the stage (`train.on_long_row`). All customer rows are looked at, general ones in the order of the draw until
there are enough. A hosted model has no tokenizer here: nothing is measured or left out.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from alloy.core.files import InputError, Row, write_json, write_lines, write_whole
from alloy.core.metrics_file import read_metrics
from alloy.core.settings import load_sections, load_seed
from alloy.core.stage import run
from alloy.formats.general import CUSTOMER
from alloy.labelling.settings import Prompt
from alloy.labelling.task import SPLIT, load_task
from alloy.mixing.customer_examples import index_customer_rows
from alloy.mixing.data_card import build_manifest, render_card
from alloy.mixing.mixture import Encoding, RowSizes, draw_mixture
from alloy.mixing.proportional_sampler import DrawnRow
from alloy.mixing.row_index import open_row_index
from alloy.mixing.sampling_order import position_key
from alloy.mixing.settings import General, Mix, Unit
from alloy.modeling.model_folder import load_tokenizer, read_hosted_name
from alloy.training.settings import LongRow, Train

GENERAL = {General.data: Path("data/decontaminate/general.jsonl"), General.self: Path("data/rehearse/general.jsonl")}
BASE = Path("models/base")
INPUTS = [SPLIT / name for name in ("train.jsonl", "taxonomy.json", "task.json")]
FAR = 0.01  # from the asked share: said where it is missed by more


def interleave(
    customer: RowSizes, customers: list[DrawnRow], general: RowSizes, generals: list[DrawnRow], seed: int
) -> Iterator[bytes]:
    """Return the lines of the mix: customer rows in their order, general ones spread evenly among them.

    The seed and a row's id alone decide where a general row stands.
    """
    row_index = general.row_index
    indices = np.array([row.index for row in generals], np.int64)
    first = row_index.table["position"][indices].tolist()
    positions = [
        position_key(seed, row_index.read_row(row.index)["id"], row.repetition) if row.repetition else position
        for row, position in zip(generals, first, strict=True)
    ]
    count = len(customers)
    even = (np.arange(count) + 0.5) / max(count, 1)
    order = np.argsort(np.concatenate([even, np.array(positions, np.float64) / 2**64]), kind="stable")
    own = customer.row_index.read_lines(np.array([row.index for row in customers], np.int64))
    theirs = row_index.read_lines(indices[order[order >= count] - count])
    return (next(own if number < count else theirs) for number in order.tolist())


def left_out(shown: int, general: General, report: Row) -> Row:
    """Return by reason how many comments and general rows do not come in; `shown` comments stand in every prompt."""
    split = read_metrics("metrics/split.json", "split", required=("rejected", "left_out"))
    wanted = ("why", "held_out", "same_prompt")
    clean = read_metrics("metrics/decontaminate.json", "decontaminate", required=wanted)
    comments = {"bad": split["rejected"], "nearly one of test": split["left_out"], "in every prompt": shown}
    rows = {"bad": clean["rejected"]} | {f"shares {why} with a test": count for why, count in clean["why"].items()}
    rows |= {"held out for the general loss": clean["held_out"], "same prompt as a held-out row": clean["same_prompt"]}
    if general is General.self:
        dropped = read_metrics("metrics/rehearse.json", "rehearse").get("dropped")
        if dropped is None:
            raise InputError("metrics/rehearse.json: made where mix.general was data; run `dvc repro rehearse`")
        rows |= {f"the base's answer is {why}": count for why, count in dropped.items()}
    if "max_length" in report:
        long = f"over train.max_length ({report['max_length']} tokens)"
        comments[long] = report["too_long"].get(CUSTOMER, 0)
        rows[long] = sum(count for name, count in report["too_long"].items() if name != CUSTOMER)
    return {f"comments: {why}": count for why, count in comments.items()} | {
        f"general: {why}": count for why, count in rows.items()
    }


def main() -> None:
    """Read, draw, write."""
    mix, prompt, train = load_sections(Mix, Prompt, Train)
    seed, source = load_seed(), GENERAL[mix.general]
    service = read_hosted_name(BASE)
    if service and mix.unit is not Unit.examples:
        raise InputError(f"params.yaml: mix.unit: {service} is hosted and tells no tokens; take examples")
    if not source.is_file():
        raise InputError(f"{source}: no such file; `dvc repro` makes it")
    stop = train.on_long_row is LongRow.stop
    encoding = None if service else Encoding(load_tokenizer(BASE), train.assistant_turns, train.max_length, stop)
    prompts = load_task(prompt)
    with TemporaryFile() as made, source.open("rb") as file:
        customer = RowSizes(index_customer_rows(made, prompts, seed), mix.unit, encoding)
        general = RowSizes(open_row_index(file, seed), mix.unit, encoding)
        customers, generals = draw_mixture(mix, customer, general)
        report = build_manifest(mix, (customer, customers), (general, generals))
        missing = left_out(len(prompts.examples), mix.general, report)
        words = render_card(report, mix, missing, [*INPUTS, source, BASE], general.row_index.kinds)
        write_lines("data/mix/train.jsonl", interleave(customer, customers, general, generals, seed))
    write_whole("data/mix/README.md", lambda part: part.write_text(words, encoding="utf-8"))
    write_json("metrics/mix.json", {"mix": report})
    print(
        f"mix: {report['rows']} rows, general share {report['achieved']:.4f} of the {mix.unit.value.replace('_', ' ')}"
    )
    if too_long := sum(report.get("too_long", {}).values()):
        print(f"mix: {too_long} rows over train.max_length ({train.max_length} tokens) were left out before the draw")
    if abs(report["achieved"] - report["asked"]) > FAR:
        print("mix: the rows are too few, or some too large, to come nearer to mix.ratio")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    run(main)
