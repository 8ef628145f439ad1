"""Tables of comments, one row per comment or per segment, turned into canonical comments and their taxonomy.

1. Open each file and find the columns that source.yaml names.
2. Read the rows block by block on all cores (`comment_rows.py`).
3. Write the comments in order; rows of segments are first gathered by their comment, in the order of its first row.
4. Write the taxonomy: the table beside the comments, or the labels that they have.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from alloy.core.files import InputError
from alloy.datasets.comment_rows import RowReader, comment_row, is_blank, made_id
from alloy.datasets.comment_writer import Block, CommentWriter
from alloy.datasets.find_file import find_data
from alloy.datasets.open_table import TEXT, WORKBOOKS, find_column, open_table
from alloy.datasets.rows import Item, parse_row, read_rows
from alloy.datasets.source import SOURCE, Format, RowIs, Source
from alloy.datasets.taxonomy_table import copy_taxonomy, find_taxonomy, from_labels
from alloy.formats.origin import write_origin
from alloy.runtime.parallel import map_blocks

ENDINGS = {Format.csv: TEXT, Format.xlsx: WORKBOOKS}


class File(NamedTuple):
    """One file to read: its rows with their numbers, and where its columns are."""

    place: str
    places: dict[str, int | str]
    rows: Iterator[tuple[int, Any]]


def convert_table(folder: Path, source: Source, out: Path) -> list[str]:
    """Write comments.jsonl, taxonomy.csv and their origin; return what to print."""
    _require_columns(folder, source)
    table = find_taxonomy(folder, source)
    depth = len(copy_taxonomy(table, source, out).levels) if table else _depth(folder, source)
    writer = CommentWriter(source)
    with (out / "comments.jsonl").open("wb") as file:
        for one in open_files(folder, source):
            reader = RowReader(one.place, one.places, source, depth)
            writer.begin(one.place)
            for block in map_blocks(partial(read_block, reader), one.rows):
                writer.take(block)
                file.writelines(writer.lines())
            writer.end(one.places)
        file.writelines(writer.rest())
    writer.check(folder)
    write_origin(out, writer.files, np.array(writer.numbers))
    said = [f"{len(writer.numbers)} comments, {sum(writer.paths.values())} segments"]
    if not table:
        said.append(from_labels(out / "taxonomy.csv", set(writer.paths), depth))
    return said + writer.left_out()


def _require_columns(folder: Path, source: Source) -> None:
    """Raise `InputError` with the columns that there are if source.yaml does not name those of text and labels."""
    lacks = "text" if source.columns.text is None else "levels" if not source.columns.levels else None
    if lacks is None:
        return
    meant = {"text": "the column with the comments", "levels": "the columns with the labels, first level first"}[lacks]
    known = ""
    if source.format in ENDINGS:
        header = open_table(
            find_data(folder, source, ENDINGS[source.format])[0], source, lambda names: len(names) > 1
        ).header
        known = f"; columns are {', '.join(header)}"
    raise InputError(
        f"{folder / SOURCE}: columns.{lacks}: missing; name {meant}, or let `alloy import` guess them{known}"
    )


def open_files(folder: Path, source: Source) -> Iterator[File]:
    """Yield each file of a source with the places of its columns."""
    wanted = source.columns.of_comments
    if source.format not in ENDINGS:
        for rows in read_rows(folder, source):
            yield File(rows.place, dict(wanted), rows.numbered)
        return
    for path in find_data(folder, source, ENDINGS[source.format]):
        table = open_table(path, source, lambda names: set(wanted.values()) <= set(names))
        places: dict[str, int | str] = {
            name: find_column(path, table.header, column, "levels" if name[0] == "L" else name)
            for name, column in wanted.items()
        }
        yield File(str(path), places, ((row.line, row.cells) for row in table.rows))


def _depth(folder: Path, source: Source) -> int:
    """Return the number of levels; where one cell holds all of them, the most that any row has."""
    if source.path_separator is None:
        return len(source.columns.levels)
    deepest = 1
    for one in open_files(folder, source):
        place = one.places["L1"]
        for number, item in one.rows:
            row: Any = item if isinstance(item, list) else parse_row(one.place, number, item)
            cell = row[place] if isinstance(item, list) else row.get(place)
            for text in cell if isinstance(cell, list) else [cell or ""]:
                parts = text.split(source.label_separator) if source.label_separator else [text]
                deepest = max(deepest, *(part.count(source.path_separator) + 1 for part in parts))
    return deepest


def read_block(reader: RowReader, block: list[tuple[int, Item | list[str]]]) -> Block:
    """Return what a block of numbered rows has become."""
    made = Block()
    whole = reader.source.row_is is RowIs.comment
    for number, item in block:
        cells = reader.cells(number, item)
        if not isinstance(item, list):
            made.keys.update(name for name, cell in cells.items() if cell)
        try:
            parsed = reader.parse(cells)
        except ValueError as error:
            made.errors.append((number, str(error)))
            continue
        if not parsed.segments:
            (made.unlabelled if not is_blank(parsed.text) else made.empty).append(number)
            continue
        if whole and is_blank(parsed.text):
            made.empty.append(number)
            continue
        for path in parsed.paths:
            made.paths[path] = made.paths.get(path, 0) + 1
        if whole:
            row = comment_row(parsed.id or made_id(reader.place, number), parsed, parsed.segments)
            made.made.append((number, row["id"], orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)))
        else:
            made.parts.append((number, parsed))
    return made
