"""Rows for tests of the mix, in a row index, as the stage `mix` opens them."""

import os
from typing import IO, Any

import orjson

from alloy.core.files import Row
from alloy.formats.general import CUSTOMER
from alloy.mixing.mixture import Encoding, RowSizes
from alloy.mixing.row_index import RowIndex, open_row_index
from alloy.mixing.settings import Unit
from alloy.modeling.chat_examples import AssistantTurns
from tiny_model import COLORS, THINGS

CATEGORIES = ("code", "math", "chat")


def make_chat(identity: str, source: str, category: str, words: int = 3, **more: str) -> Row:
    """Return a row with an answer of a given number of words."""
    answer = " ".join((COLORS + THINGS)[number % 18] for number in range(words))
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": answer}]
    return {"id": identity, "source": source, "category": category, **more, "messages": turns}


def make_customer_rows(count: int) -> list[Row]:
    """Return a given number of customer rows of the same length."""
    return [make_chat(f"c{number}", CUSTOMER, CUSTOMER) for number in range(count)]


def make_general_rows(count: int) -> list[Row]:
    """Return general rows of one source and three categories, their answers of 1 to 41 words."""
    return [make_chat(f"g{n}", "made", CATEGORIES[n % 3], 1 + n * 7919 % 41) for n in range(count)]


def make_file(content: bytes) -> IO[bytes]:
    """Return a file in memory that stays open as long as the process."""
    file = open(os.memfd_create("rows"), "w+b", closefd=False)  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


def index_rows(rows: list[Row], seed: int = 0) -> RowIndex:
    """Return the index of the rows."""
    return open_row_index(make_file(b"".join(orjson.dumps(row) + b"\n" for row in rows)), seed)


def make_row_sizes(
    rows: list[Row],
    unit: Unit = Unit.examples,
    tokenizer: Any = None,
    seed: int = 0,
    *,
    max_length: int = 10**6,
    stop: bool = False,
) -> RowSizes:
    """Return the sizes of the rows; without a tokenizer, no row is too long."""
    encoding = Encoding(tokenizer, AssistantTurns.all, max_length, stop) if tokenizer is not None else None
    return RowSizes(index_rows(rows, seed), unit, encoding)
