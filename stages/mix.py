"""Mix customer examples with general ones into the training set.

Reads   data/split/train.jsonl, taxonomy.json, task.json; data/<general>/general.jsonl
Writes  data/mix/train.jsonl (chat messages, each with its source), metrics/mix.json (asked and achieved share)
Run     dvc repro mix

All customer examples stay; general ones are added until they make up `mix.ratio` of the result. Arms are nested:
the general rows of a small ratio are among those of a larger one, and customer rows keep their order.
"""

import math
from collections import Counter
from pathlib import Path

from stages.comments import unit_hash
from stages.entry import run
from stages.general_data import CUSTOMER, read_general
from stages.params import load_params
from stages.prompt import Prompts
from stages.records import InputError, Row, read_json, read_jsonl, write_json, write_jsonl
from stages.taxonomy import Taxonomy


def general_count(customer: int, ratio: float, available: int) -> int:
    """Return how many general rows make up `ratio` of the whole beside `customer` rows (all of them at ratio 1)."""
    if ratio == 1:
        return available
    wanted = round(customer * ratio / (1 - ratio))
    if wanted > available:
        largest = math.floor(1000 * available / (available + customer)) / 1000
        raise InputError(
            f"params.yaml: mix.ratio: {ratio} needs {wanted} general rows beside {customer} customer rows, there are "
            f"{available}; add general data or go down to {largest}"
        )
    return wanted


def interleave(customer: list[Row], general: list[Row], ratio: float, seed: int) -> list[Row]:
    """Return the mixed rows: customer rows in their order, the chosen general rows spread evenly among them.

    The seed and a row's id alone decide which general rows come first and where they stand.
    """
    if ratio == 1:
        customer = []
    ranked = sorted(general, key=lambda row: (unit_hash(f"{seed} rank {row['id']}"), row["id"]))
    chosen = ranked[: general_count(len(customer), ratio, len(general))]
    placed = [((place + 0.5) / len(customer), row) for place, row in enumerate(customer)]
    placed += [(unit_hash(f"{seed} place {row['id']}"), row) for row in chosen]
    return [row for _, row in sorted(placed, key=lambda pair: pair[0])]


def manifest(rows: list[Row], asked: float) -> Row:
    """Return the asked and the achieved general share, and the rows by source."""
    sources = Counter(row["source"] for row in rows)
    achieved = 1 - sources[CUSTOMER] / len(rows)
    return {
        "mix": {
            "asked": asked,
            "achieved": round(achieved, 6),
            "unit": "examples",
            "rows": len(rows),
            "source": dict(sorted(sources.items())),
        }
    }


def customer_rows(train: list[Row], prompts: Prompts) -> list[Row]:
    """Return one chat example a comment, the prompt and the gold answer; not of those that stand in every prompt."""
    shown = {row["id"] for row in prompts.examples}
    comments = [row for row in train if row["id"] not in shown]
    return [
        {
            "id": row["id"],
            "source": CUSTOMER,
            "category": CUSTOMER,
            "messages": [*messages, {"role": "assistant", "content": prompts.answer(row)}],
        }
        for row, messages in zip(comments, prompts.messages(comments), strict=True)
    ]


def main() -> None:
    """Read, mix, write."""
    params = load_params()
    split = Path("data/split")
    taxonomy = Taxonomy.from_rows(read_json(split / "taxonomy.json"))
    train = read_jsonl(split / "train.jsonl")
    customer = customer_rows(train, Prompts.of(params.prompt, taxonomy, read_json(split / "task.json"), train))
    general = read_general(Path("data") / params.data.general / "general.jsonl")
    rows = interleave(customer, general, params.mix.ratio, params.seed)
    fields = ("id", "source", "category", "messages")
    write_jsonl("data/mix/train.jsonl", ({field: row[field] for field in fields} for row in rows))
    report = manifest(rows, params.mix.ratio)
    write_json("metrics/mix.json", report)
    print(f"mix: {len(rows)} rows, general share {report['mix']['achieved']:.4f}")


if __name__ == "__main__":
    run(main)
