"""Convert tables of comments to canonical comments and their taxonomy. A row is a comment or one segment.

1. Open each file and find the columns that source.yaml names.
2. Parse the rows in blocks on all cores (`comment_rows.py`).
3. Write the comments in order. If rows are segments, first collect the segments of each comment; comments are then in
   the order of their first rows.
4. Write the taxonomy: the table next to the comments, or the labels of the comments.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from alloy.core.files import InputError
from alloy.datasets.comment_rows import RowReader, build_comment_row, is_blank, make_id
from alloy.datasets.comment_writer import Block, CommentWriter
from alloy.datasets.find_file import find_data
from alloy.datasets.open_table import TEXT, WORKBOOKS, OpenTable, find_column, open_table
from alloy.datasets.rows import Item, parse_row, read_rows
from alloy.datasets.source import SOURCE, Format, RowIs, Source
from alloy.datasets.taxonomy_table import copy_taxonomy, find_taxonomy, write_from_labels
from alloy.formats.origin import write_origin
from alloy.runtime.parallel import map_blocks

ENDINGS = {Format.csv: TEXT, Format.xlsx: WORKBOOKS}


class CommentFile(NamedTuple):
    """One file of comments: its numbered rows, and the index or key of each column by field."""

    location: str
    columns: dict[str, int | str]
    rows: Iterator[tuple[int, Any]]


def convert_table(folder: Path, source: Source, out: Path) -> list[str]:
    """Write comments.jsonl, taxonomy.csv and the origin of each comment; return the lines to print."""
    _require_columns(folder, source)
    table = find_taxonomy(folder, source)
    depth = len(copy_taxonomy(table, source, out).levels) if table else _find_depth(folder, source)
    writer = CommentWriter(source)
    with (out / "comments.jsonl").open("wb") as file:
        for table_file in open_files(folder, source):
            reader = RowReader(table_file.location, table_file.columns, source, depth)
            writer.begin_file(table_file.location)
            for block in map_blocks(partial(read_block, reader), table_file.rows):
                writer.add_block(block)
                file.writelines(writer.take_lines())
            writer.check_columns(table_file.columns)
        file.writelines(writer.yield_joined())
    writer.check_rows(folder)
    write_origin(out, writer.files, np.array(writer.numbers))
    lines = [f"{len(writer.numbers)} comments, {sum(writer.paths.values())} segments"]
    if not table:
        lines.append(write_from_labels(out / "taxonomy.csv", writer.uses, depth))
    return lines + writer.describe_left_out()


def _require_columns(folder: Path, source: Source) -> None:
    """Raise `InputError` with the existing columns if source.yaml does not name the columns of text and labels."""
    missing = "text" if source.columns.text is None else "levels" if not source.columns.levels else None
    if missing is None:
        return
    meaning = {
        "text": "the column with the comments",
        "levels": "the columns with the labels, first level first",
    }[missing]
    known = ""
    if source.format in ENDINGS:
        header = open_table(
            find_data(folder, source, ENDINGS[source.format])[0], source, lambda names: len(names) > 1
        ).header
        known = f"; the columns are {', '.join(header)}"
    raise InputError(
        f"{folder / SOURCE}: columns.{missing}: missing; add {meaning}, or let `alloy import` guess them{known}"
    )


def open_files(folder: Path, source: Source) -> Iterator[CommentFile]:
    """Yield each file of a source with its columns."""
    wanted = source.columns.of_comments
    if source.format not in ENDINGS:
        for rows in read_rows(folder, source):
            yield CommentFile(rows.location, dict(wanted), rows.numbered)
        return
    for path in find_data(folder, source, ENDINGS[source.format]):
        table = open_table(path, source, lambda names: set(wanted.values()) <= set(names))
        columns: dict[str, int | str] = {
            name: find_column(path, table.header, column, "levels" if name[0] == "L" else name)
            for name, column in wanted.items()
        }
        yield CommentFile(str(path), columns, _yield_numbered_rows(path, table))


def _yield_numbered_rows(path: Path, table: OpenTable) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with their numbers. Raises `InputError` if one repeats the column names."""
    for row in table.rows:
        if row.cells == table.header:
            raise InputError(
                f"{path}:{row.line}: the row repeats the column names; remove it, or set `header: {row.line}`"
            )
        yield row.line, row.cells


def _find_depth(folder: Path, source: Source) -> int:
    """Return the number of levels. If all levels are in one cell, return the largest number in any row."""
    if source.path_separator is None:
        return len(source.columns.levels)
    deepest = 1
    for table_file in open_files(folder, source):
        column = table_file.columns["L1"]
        for number, item in table_file.rows:
            row: Any = item if isinstance(item, list) else parse_row(table_file.location, number, item)
            cell = row[column] if isinstance(item, list) else row.get(column)
            for text in cell if isinstance(cell, list) else [cell or ""]:
                parts = text.split(source.label_separator) if source.label_separator else [text]
                deepest = max(deepest, *(part.count(source.path_separator) + 1 for part in parts))
    return deepest


def read_block(reader: RowReader, block: list[tuple[int, Item | list[str]]]) -> Block:
    """Return the parsed rows of a block: comments, segments, and errors."""
    parsed_block = Block()
    rows_are_comments = reader.source.row_is is RowIs.comment
    for number, item in block:
        cells = reader.read_cells(number, item)
        if not isinstance(item, list):
            parsed_block.keys.update(name for name, cell in cells.items() if cell)
        try:
            parsed = reader.parse_cells(cells)
        except ValueError as error:
            parsed_block.errors.append((number, str(error)))
            continue
        if not parsed.segments:
            (parsed_block.unlabeled if not is_blank(parsed.text) else parsed_block.empty).append(number)
            continue
        if rows_are_comments and is_blank(parsed.text):
            parsed_block.empty.append(number)
            continue
        for path, spelled in zip(parsed.paths, parsed.spelled, strict=True):
            parsed_block.paths[path] = parsed_block.paths.get(path, 0) + 1
            parsed_block.uses.setdefault(spelled, number)
        if rows_are_comments:
            row = build_comment_row(parsed.id or make_id(reader.location, number), parsed, parsed.segments)
            parsed_block.comments.append((number, row["id"], orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)))
        else:
            parsed_block.segments.append((number, parsed))
    return parsed_block
