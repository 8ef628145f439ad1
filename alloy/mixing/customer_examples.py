"""Customer examples: training comments as chats, each with its prompt and its gold answer."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import orjson

from alloy.core.files import Row, decode_rows, number_lines
from alloy.formats.general import CUSTOMER
from alloy.labeling.prompt import Prompts
from alloy.labeling.task import SPLIT_FOLDER
from alloy.mixing.row_index import IndexedBlock, RowIndex, index_block, merge_blocks
from alloy.runtime.parallel import map_blocks


def build_customer_rows(prompts: Prompts, comments: list[Row]) -> list[Row]:
    """Return one row per comment: the prompt and the gold answer in chat form."""
    return [
        {
            "id": row["id"],
            "source": CUSTOMER,
            "category": CUSTOMER,
            "messages": [*messages, {"role": "assistant", "content": prompts.render_gold_answer(row)}],
        }
        for row, messages in zip(comments, prompts.build_messages(comments), strict=True)
    ]


def write_customer_rows(file: IO[bytes], prompts: Prompts, seed: int) -> RowIndex:
    """Write the customer examples to `file`, and return the index. Few-shot comments of the prompt are left out."""
    path = SPLIT_FOLDER / "train.jsonl"

    def write_blocks() -> Iterator[IndexedBlock]:
        for lines, block in map_blocks(partial(_encode_block, path, prompts, seed), number_lines(path)):
            file.writelines(lines)
            yield block

    return merge_blocks(file, write_blocks())


def _encode_block(
    path: Path, prompts: Prompts, seed: int, numbered_lines: list[tuple[int, bytes]]
) -> tuple[list[bytes], IndexedBlock]:
    few_shot = {row["id"] for row in prompts.examples}
    rows = build_customer_rows(prompts, [row for row in decode_rows(path, numbered_lines) if row["id"] not in few_shot])
    lines = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
    return lines, index_block(seed, lines, rows)
