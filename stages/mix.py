"""Mix customer examples with general ones into the training set, exactly as was asked.

Reads   data/split/train.jsonl, taxonomy.json, task.json; data/decontaminate/general.jsonl, or
        data/rehearse/general.jsonl where `mix.general` is self; models/base (its tokenizer); metrics/split.json,
        decontaminate.json, rehearse.json (what was left out)
Writes  data/mix/train.jsonl (chat messages with their source; general rows as they are), data/mix/README.md (the
        card), metrics/mix.json
Run     dvc repro mix; then `alloy trace <step>` prints the rows that a training step used

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
from alloy.mixing.customer_examples import open_customers
from alloy.mixing.data_card import card, manifest
from alloy.mixing.mixture import Encoding, Sizes, draw
from alloy.mixing.proportional_sampler import Draw
from alloy.mixing.row_index import open_pool
from alloy.mixing.sampling_order import spot_key
from alloy.mixing.settings import General, Mix, Unit
from alloy.modeling.model_folder import hosted, load_tokenizer
from alloy.training.settings import LongRow, Train

GENERAL = {General.data: Path("data/decontaminate/general.jsonl"), General.self: Path("data/rehearse/general.jsonl")}
BASE = Path("models/base")
INPUTS = [SPLIT / name for name in ("train.jsonl", "taxonomy.json", "task.json")]
FAR = 0.01  # from the asked share: said where it is missed by more


def interleave(
    customer: Sizes, customers: list[Draw], general: Sizes, generals: list[Draw], seed: int
) -> Iterator[bytes]:
    """Return the lines of the mix: customer rows in their order, general ones spread evenly among them.

    The seed and a row's id alone decide where a general row stands.
    """
    pool = general.pool
    places = np.array([one.place for one in generals], np.int64)
    first = pool.table["spot"][places].tolist()
    spots = [
        spot_key(seed, pool.row(one.place)["id"], one.before) if one.before else spot
        for one, spot in zip(generals, first, strict=True)
    ]
    count = len(customers)
    even = (np.arange(count) + 0.5) / max(count, 1)
    order = np.argsort(np.concatenate([even, np.array(spots, np.float64) / 2**64]), kind="stable")
    own = customer.pool.lines(np.array([one.place for one in customers], np.int64))
    theirs = pool.lines(places[order[order >= count] - count])
    return (next(own if place < count else theirs) for place in order.tolist())


def left_out(shown: int, general: General, report: Row) -> Row:
    """Return by reason how many comments and general rows do not come in; `shown` comments stand in every prompt."""
    split = read_metrics("metrics/split.json", "split", need=("rejected", "left_out"))
    wanted = ("why", "held_out", "same_prompt")
    clean = read_metrics("metrics/decontaminate.json", "decontaminate", need=wanted)
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
    service = hosted(BASE)
    if service and mix.unit is not Unit.examples:
        raise InputError(f"params.yaml: mix.unit: {service} is hosted and tells no tokens; take examples")
    if not source.is_file():
        raise InputError(f"{source}: no such file; `dvc repro` makes it")
    stop = train.on_long_row is LongRow.stop
    encoding = None if service else Encoding(load_tokenizer(BASE), train.assistant_turns, train.max_length, stop)
    prompts = load_task(prompt)
    with TemporaryFile() as made, source.open("rb") as file:
        customer = Sizes(open_customers(made, prompts, seed), mix.unit, encoding)
        general = Sizes(open_pool(file, seed), mix.unit, encoding)
        customers, generals = draw(mix, customer, general)
        report = manifest(mix, (customer, customers), (general, generals))
        missing = left_out(len(prompts.examples), mix.general, report)
        words = card(report, mix, missing, [*INPUTS, source, BASE], general.pool.kinds)
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
