"""Convert general instruction data of any layout to canonical examples `{id, category, source, messages, ...}`."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from alloy.core.files import InputError, Row, write_jsonl
from alloy.core.settings import BadRow, bad_general_rows
from alloy.core.unknown_keys import describe_unknown_keys
from alloy.datasets.chats import METADATA, TURNS, NoAnswerError, choose_reader, find_unused_keys, list_known_keys
from alloy.datasets.rows import Item, parse_row, read_rows
from alloy.datasets.source import SOURCE, Layout, Source
from alloy.formats.general import (
    KEYS,
    MARKUP_KEYS,
    REJECTED,
    TURN_KEYS,
    check_general,
    count_unknown_keys,
    make_unknown_key_warnings,
    normalize_names,
)
from alloy.formats.origin import write_origin
from alloy.runtime.parallel import map_blocks

SHOWN = 3  # rows without an answer that are listed
KEPT_TURN_KEYS = (*TURN_KEYS, *MARKUP_KEYS)


@dataclass
class Block:
    """The converted rows of a block: their JSON lines, numbers, ids and sources, and the problems of other rows."""

    lines: list[bytes]
    numbers: list[int]
    ids: list[str]
    sources: list[str]
    unknown: Counter[str]
    unanswered: list[int]
    errors: list[tuple[int, str]]


def convert_general(folder: Path, source: Source, out: Path, on_bad_row: BadRow = BadRow.stop) -> list[str]:
    """Write general.jsonl and the origin of each row; return the lines to print.

    Bad rows raise one `InputError`, or are left out and listed in rejected.jsonl.
    """
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    unanswered: list[str] = []
    bad: list[Row] = []
    files: dict[str, int] = {}  # number of rows per file
    numbers: list[int] = []  # number of each row in its file
    first_use: dict[str, str] = {}  # `file:row` of each id
    with (out / "general.jsonl").open("wb") as file:
        for rows in read_rows(folder, source, "general.jsonl"):
            # Generated ids start with the name of the folder; from the second file on, also with the name of the file.
            prefix = f"{folder.name}-{Path(rows.location).name.partition('.')[0]}" if files else folder.name
            files[rows.location] = 0
            for block in map_blocks(partial(convert_block, rows.location, prefix, source, folder.name), rows.numbered):
                for number, identity, row_source, line in zip(
                    block.numbers, block.ids, block.sources, block.lines, strict=True
                ):
                    location = f"{rows.location}:{number}"
                    if (earlier := first_use.setdefault(identity, location)) != location:
                        reason = f"duplicate id '{identity}' (first used in {earlier}); ids must be unique"
                        block.errors.append((number, reason))
                        continue
                    file.write(line)
                    numbers.append(number)
                    files[rows.location] += 1
                    counts[row_source] += 1
                unknown.update(block.unknown)
                unanswered += [f"{rows.location}:{number}" for number in block.unanswered]
                bad += [
                    {"file": rows.location, "line": number, "id": None, "reason": reason}
                    for number, reason in sorted(block.errors)
                ]
    errors = [f"{row['file']}:{row['line']}: {row['reason']}" for row in bad]
    if errors and (on_bad_row is BadRow.stop or not counts):
        raise bad_general_rows(errors)
    if not counts:
        raise InputError(f"{folder}: no row has an answer; add rows, or fix `layout` in {folder / SOURCE}")
    write_origin(out, files, np.array(numbers))
    lines = [f"{counts.total()} examples of {len(counts)} sources"]
    if errors:
        write_jsonl(out / REJECTED, bad)
        lines.append(f"{len(errors)} bad rows left out, the first is {errors[0]}")
    if unanswered:
        lines.append(f"{len(unanswered)} rows without an answer left out: {', '.join(unanswered[:SHOWN])}, ...")
    if unused := sorted(set(source.licenses) - set(counts)):
        known = ", ".join(sorted(counts))
        lines.append(f"{folder / SOURCE}: licenses: no row has the source {', '.join(unused)}; the sources are {known}")
    if source.row_layout in TURNS:
        return lines + describe_unknown_keys(folder, unknown, list_known_keys(source.row_layout, source.columns))
    return lines + make_unknown_key_warnings(folder, unknown)


def convert_block(location: str, prefix: str, source: Source, name: str, block: list[tuple[int, Item]]) -> Block:
    """Return the canonical lines of a block. Generated ids start with `prefix`; `name` is the default source."""
    converted = Block([], [], [], [], Counter(), [], [])
    for number, item in block:
        try:
            row = parse_row(location, number, item)
            canonical = convert_row(row, source, f"{prefix}-{number}", name, converted.unknown)
        except NoAnswerError:
            converted.unanswered.append(number)
            continue
        except (InputError, ValueError) as error:
            converted.errors.append((number, str(error).removeprefix(f"{location}:{number}: ")))
            continue
        converted.lines.append(orjson.dumps(canonical, option=orjson.OPT_APPEND_NEWLINE))
        converted.numbers.append(number)
        converted.ids.append(canonical["id"])
        converted.sources.append(canonical["source"])
    return converted


def convert_row(row: Row, source: Source, identity: str, name: str, unknown: Counter[str]) -> Row:
    """Return a canonical example with normalized source and category; raise `ValueError` if the row is invalid.

    Category, source, language and license of the row take precedence over those of source.yaml.
    """
    if source.row_layout is Layout.columns:
        raise ValueError(
            "`columns.text` has no meaning for instruction data; set `columns.instruction` and `columns.output`"
        )
    if source.row_layout is Layout.canonical:
        row = {**_list_defaults(source), **{key: value for key, value in row.items() if value is not None}}
        row.update({key: value for key, value in _find_license(row, source).items() if key not in row})
        if error := check_general(row):
            raise ValueError(error)
        count_unknown_keys(row, unknown)
        turns = [{key: turn[key] for key in KEPT_TURN_KEYS if key in turn} for turn in row["messages"]]
        return normalize_names({**{key: row[key] for key in KEYS if key in row}, "messages": turns})
    messages = choose_reader(source.row_layout)(row, source.columns)
    row_values = {key: row[key] for key in METADATA if isinstance(row.get(key), str) and row[key].strip()}
    if isinstance(category := row.get(source.columns.category), str) and category.strip():
        row_values["category"] = category
    origin = row_values.get("source") or source.source or source.repository or name
    example = {"category": source.category or origin, **_list_defaults(source), "source": origin, **row_values}
    example = {"id": identity, **_find_license(example, source), **example, "messages": messages}
    if error := check_general(example):
        raise ValueError(error)
    known = frozenset(list_known_keys(source.row_layout, source.columns))
    unknown.update(find_unused_keys(row, source.row_layout, known))
    return normalize_names({key: example[key] for key in KEYS if key in example})


def _list_defaults(source: Source) -> Row:
    defaults = {"category": source.category, "source": source.source, "lang": source.lang}
    return {key: value for key, value in defaults.items() if value is not None}


def _find_license(row: Row, source: Source) -> Row:
    license_ = source.licenses.get(row["source"]) if isinstance(row.get("source"), str) else None
    license_ = license_ or source.license
    return {"license": license_} if license_ else {}
