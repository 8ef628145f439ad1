"""Customer examples: training comments as chats, each with its prompt and its gold answer."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import orjson

from alloy.core.files import Row, decode_rows, number_lines
from alloy.formats.general import CUSTOMER
from alloy.labelling.prompt import Prompts
from alloy.labelling.task import SPLIT
from alloy.mixing.row_index import Part, Pool, gather, index
from alloy.runtime.parallel import map_blocks


def customer_rows(prompts: Prompts, comments: list[Row]) -> list[Row]:
    """Return a row a comment: the prompt and the gold answer in chat form."""
    return [
        {
            "id": row["id"],
            "source": CUSTOMER,
            "category": CUSTOMER,
            "messages": [*messages, {"role": "assistant", "content": prompts.answer(row)}],
        }
        for row, messages in zip(comments, prompts.messages(comments), strict=True)
    ]


def open_customers(file: IO[bytes], prompts: Prompts, seed: int) -> Pool:
    """Write the customer examples to `file`, but for the comments that stand in every prompt, and take them up."""
    path = SPLIT / "train.jsonl"

    def parts() -> Iterator[Part]:
        for lines, part in map_blocks(partial(_customer_block, path, prompts, seed), number_lines(path)):
            file.writelines(lines)
            yield part

    return gather(file, parts())


def _customer_block(
    path: Path, prompts: Prompts, seed: int, given: list[tuple[int, bytes]]
) -> tuple[list[bytes], Part]:
    shown = {row["id"] for row in prompts.examples}
    rows = customer_rows(prompts, [row for row in decode_rows(path, given) if row["id"] not in shown])
    lines = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
    return lines, index(seed, lines, rows)
