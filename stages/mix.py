"""Mix customer examples with general ones into the training set, exactly as was asked.

Reads   data/split/train.jsonl, taxonomy.json, task.json; data/decontaminate/general.jsonl, or
        data/rehearse/general.jsonl where `mix.general` is self; models/base (its tokenizer); metrics/split.json,
        decontaminate.json, rehearse.json (what was left out)
Writes  data/mix/train.jsonl (chat messages, each with its source), data/mix/README.md (the card), metrics/mix.json
Run     dvc repro mix; then `python -m stages.trace <step>` tells which rows a training step took

General rows make up `mix.ratio` of the whole, counted in `mix.unit`. Arms are nested: the general rows of a small ratio
are among those of a larger one (stages/mixture.py), and customer rows keep their order.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import orjson

from stages.blocks import over_blocks
from stages.checkpoint import hosted, load_tokenizer
from stages.draw import Sizes, draw
from stages.entry import run
from stages.experiment import General, Prompt, TaxonomyIn, Unit
from stages.general_data import CUSTOMER
from stages.manifest import card, manifest
from stages.mixture import Draw
from stages.params import load_params
from stages.pool import Part, Pool, gather, index, open_pool
from stages.prompt import Prompts
from stages.ranking import spot_key
from stages.records import (
    InputError,
    Row,
    decode_rows,
    number_lines,
    read_json,
    read_jsonl,
    write_json,
    write_lines,
    write_whole,
)
from stages.taxonomy import Taxonomy

SPLIT = Path("data/split")
GENERAL = {General.data: Path("data/decontaminate/general.jsonl"), General.self: Path("data/rehearse/general.jsonl")}
BASE = Path("models/base")
INPUTS = [SPLIT / name for name in ("train.jsonl", "taxonomy.json", "task.json")]
FIELDS = ("id", "source", "category", "messages")


def customer_rows(prompts: Prompts, comments: list[Row]) -> list[bytes]:
    """Return a line a comment: the prompt and the gold answer in chat form."""
    rows = (
        {
            "id": row["id"],
            "source": CUSTOMER,
            "category": CUSTOMER,
            "messages": [*messages, {"role": "assistant", "content": prompts.answer(row)}],
        }
        for row, messages in zip(comments, prompts.messages(comments), strict=True)
    )
    return [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]


def open_prompts(prompt: Prompt) -> Prompts:
    """Return what makes prompts; the training comments are only read for it where some stand in the prompt."""
    learns = prompt.examples > 0 or prompt.taxonomy is TaxonomyIn.shortlist
    taxonomy = Taxonomy.from_rows(read_json(SPLIT / "taxonomy.json"))
    train = read_jsonl(SPLIT / "train.jsonl") if learns else []
    return Prompts.of(prompt, taxonomy, read_json(SPLIT / "task.json"), train)


def open_customers(file: IO[bytes], prompts: Prompts, seed: int) -> Pool:
    """Write the customer examples to `file`, but for the comments that stand in every prompt, and take them up."""
    path = SPLIT / "train.jsonl"

    def parts() -> Iterator[Part]:
        for lines, part in over_blocks(partial(_customer_block, path, prompts, seed), number_lines(path)):
            file.writelines(lines)
            yield part

    return gather(file, parts())


def _customer_block(
    path: Path, prompts: Prompts, seed: int, given: list[tuple[int, bytes]]
) -> tuple[list[bytes], Part]:
    shown = {row["id"] for row in prompts.examples}
    lines = customer_rows(prompts, [row for row in decode_rows(path, given) if row["id"] not in shown])
    return lines, index(seed, lines)


def interleave(
    customer: Sizes, customers: list[Draw], general: Sizes, generals: list[Draw], seed: int
) -> Iterator[bytes]:
    """Yield the lines of the mix: customer rows in their order, general ones spread evenly among them.

    The seed and a row's id alone decide where a general row stands.
    """
    pool = general.pool
    first = pool.table["spot"][[one.place for one in generals]].tolist()
    spots = [
        spot_key(seed, pool.row(one.place)["id"], one.before) if one.before else spot
        for one, spot in zip(generals, first, strict=True)
    ]
    count = len(customers)
    even = (np.arange(count) + 0.5) / max(count, 1)
    order = np.argsort(np.concatenate([even, np.array(spots, np.float64) / 2**64]), kind="stable")
    for place in order.tolist():
        if place < count:
            yield customer.pool.line(customers[place].place).strip()
        else:
            row = pool.row(generals[place - count].place)
            yield orjson.dumps({field: row[field] for field in FIELDS})


def left_out(shown: int, general: General) -> Row:
    """Return by reason how many comments and general rows do not come in; `shown` comments stand in every prompt."""
    split, clean = read_json("metrics/split.json")["split"], read_json("metrics/decontaminate.json")["decontaminate"]
    comments = {"bad": split["rejected"], "nearly one of test": split["left_out"], "in every prompt": shown}
    rows = {f"shares {why} with a test": count for why, count in clean["why"].items()}
    if general is General.self:
        dropped = read_json("metrics/rehearse.json")["rehearse"]["dropped"]
        rows |= {f"the base's answer is {why}": count for why, count in dropped.items()}
    return {f"comments: {why}": count for why, count in comments.items()} | {
        f"general: {why}": count for why, count in rows.items()
    }


def main() -> None:
    """Read, draw, write."""
    params = load_params()
    mix, source = params.mix, GENERAL[params.mix.general]
    service = hosted(BASE)
    if service and mix.unit is not Unit.examples:
        raise InputError(f"params.yaml: mix.unit: {service} is hosted and tells no tokens; take examples")
    if not source.is_file():
        raise InputError(f"{source}: no such file; `dvc repro` makes it")
    tokenizer = None if service else load_tokenizer(BASE)
    prompts = open_prompts(params.prompt)
    missing = left_out(len(prompts.examples), mix.general)
    with TemporaryFile() as made, source.open("rb") as file:
        customer = Sizes(open_customers(made, prompts, params.seed), mix.unit, tokenizer)
        general = Sizes(open_pool(file, params.seed), mix.unit, tokenizer)
        customers, generals = draw(mix, customer, general)
        report = manifest(mix, (customer, customers), (general, generals))
        words = card(report, mix, missing, [*INPUTS, source, BASE], general.pool.kinds)
        write_lines("data/mix/train.jsonl", interleave(customer, customers, general, generals, params.seed))
    write_whole("data/mix/README.md", lambda part: part.write_text(words, encoding="utf-8"))
    write_json("metrics/mix.json", {"mix": report})
    print(
        f"mix: {report['rows']} rows, general share {report['achieved']:.4f} of the {mix.unit.value.replace('_', ' ')}"
    )


if __name__ == "__main__":
    run(main)
