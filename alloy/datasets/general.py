"""General instruction data in any layout, turned into canonical examples: `{id, category, source, messages, ..}`."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from alloy.core.files import InputError, Row, write_jsonl
from alloy.core.settings import BadRow, bad_general_rows
from alloy.datasets.chats import NoAnswer, messages_of
from alloy.datasets.rows import Item, parse_row, read_rows
from alloy.datasets.source import SOURCE, Layout, Source
from alloy.formats.general import (
    KEYS,
    MARKUP_KEYS,
    REJECTED,
    TURN_KEYS,
    check_general,
    count_unknown_keys,
    unknown_key_warnings,
)
from alloy.formats.origin import write_origin
from alloy.runtime.parallel import map_blocks

SHOWN = 3  # rows without an answer that are named
KEPT_OF_TURN = (*TURN_KEYS, *MARKUP_KEYS)


@dataclass
class Block:
    """What a block of rows has become: lines, the numbers, ids and sources of their rows, and what to say of others."""

    lines: list[bytes]
    numbers: list[int]
    ids: list[str]
    sources: list[str]
    unknown: Counter[str]
    unanswered: list[int]
    errors: list[tuple[int, str]]


def convert_general(folder: Path, source: Source, out: Path, on_bad_row: BadRow = BadRow.stop) -> list[str]:
    """Write general.jsonl and where its rows are from; return what to print.

    Bad rows make one `InputError`, or are left out and listed in rejected.jsonl.
    """
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    unanswered: list[str] = []
    bad: list[Row] = []
    files: dict[str, int] = {}  # rows by file
    numbers: list[int] = []  # of each row in its file
    several = False
    first: dict[str, str] = {}  # where each id was used
    with (out / "general.jsonl").open("wb") as file:
        for rows in read_rows(folder, source, "general.jsonl"):
            label = f"{folder.name}-{Path(rows.place).name.partition('.')[0]}" if several else folder.name
            several = True
            files[rows.place] = 0
            for block in map_blocks(partial(convert_block, rows.place, label, source, folder.name), rows.numbered):
                for number, identity, of, line in zip(
                    block.numbers, block.ids, block.sources, block.lines, strict=True
                ):
                    place = f"{rows.place}:{number}"
                    if (before := first.setdefault(identity, place)) != place:
                        reason = f"duplicate id '{identity}' (first used in {before}); ids must be unique"
                        block.errors.append((number, reason))
                        continue
                    file.write(line)
                    numbers.append(number)
                    files[rows.place] += 1
                    counts[of] += 1
                unknown.update(block.unknown)
                unanswered += [f"{rows.place}:{number}" for number in block.unanswered]
                bad += [
                    {"file": rows.place, "line": number, "id": None, "reason": reason}
                    for number, reason in sorted(block.errors)
                ]
    errors = [f"{row['file']}:{row['line']}: {row['reason']}" for row in bad]
    if errors and (on_bad_row is BadRow.stop or not counts):
        raise bad_general_rows(errors)
    if not counts:
        raise InputError(f"{folder}: no row with an answer; add rows, or correct layout in {folder / SOURCE}")
    write_origin(out, files, np.array(numbers))
    said = [f"{counts.total()} examples of {len(counts)} sources"]
    if errors:
        write_jsonl(out / REJECTED, bad)
        said.append(f"{len(errors)} bad rows left out, the first is {errors[0]}")
    if unanswered:
        said.append(f"{len(unanswered)} rows without an answer left out: {', '.join(unanswered[:SHOWN])}, ..")
    if strange := sorted(set(source.licenses) - set(counts)):
        known = ", ".join(sorted(counts))
        said.append(f"{folder / SOURCE}: licenses: no row is of {', '.join(strange)}; sources are {known}")
    return said + unknown_key_warnings(folder, unknown)


def convert_block(place: str, label: str, source: Source, name: str, block: list[tuple[int, Item]]) -> Block:
    """Return the canonical lines of a block of rows; `label` begins ids that are made, `name` is the source."""
    made = Block([], [], [], [], Counter(), [], [])
    for number, item in block:
        try:
            row = parse_row(place, number, item)
            canonical = convert_row(row, source, f"{label}-{number}", name, made.unknown)
        except NoAnswer:
            made.unanswered.append(number)
            continue
        except (InputError, ValueError) as error:
            made.errors.append((number, str(error).removeprefix(f"{place}:{number}: ")))
            continue
        made.lines.append(orjson.dumps(canonical, option=orjson.OPT_APPEND_NEWLINE))
        made.numbers.append(number)
        made.ids.append(canonical["id"])
        made.sources.append(canonical["source"])
    return made


def convert_row(row: Row, source: Source, identity: str, name: str, unknown: Counter[str]) -> Row:
    """Return a canonical example; raise `ValueError` with what is wrong and how to fix it.

    What the row itself says of category, source, language and license goes before what source.yaml says.
    """
    if source.row_layout is Layout.columns:
        raise ValueError("instruction data has no `columns.text`; name `columns.instruction` and `columns.output`")
    if source.row_layout is Layout.canonical:
        row = {**_defaults(source), **{key: value for key, value in row.items() if value is not None}}
        row.update({key: value for key, value in _license(row, source).items() if key not in row})
        if error := check_general(row):
            raise ValueError(error)
        count_unknown_keys(row, unknown)
        turns = [{key: turn[key] for key in KEPT_OF_TURN if key in turn} for turn in row["messages"]]
        return {**{key: row[key] for key in KEYS if key in row}, "messages": turns}
    messages = messages_of(source.row_layout)(row, source.columns)
    own = {key: row[key] for key in ("source", "lang", "license") if isinstance(row.get(key), str) and row[key].strip()}
    if isinstance(category := row.get(source.columns.category), str) and category.strip():
        own["category"] = category
    origin = own.get("source") or source.source or source.repository or name
    made = {"category": source.category or origin, **_defaults(source), "source": origin, **own}
    made = {"id": identity, **_license(made, source), **made, "messages": messages}
    if error := check_general(made):
        raise ValueError(error)
    return {key: made[key] for key in KEYS if key in made}


def _defaults(source: Source) -> Row:
    given = {"category": source.category, "source": source.source, "lang": source.lang}
    return {key: value for key, value in given.items() if value is not None}


def _license(row: Row, source: Source) -> Row:
    license_ = source.licenses.get(row["source"]) if isinstance(row.get("source"), str) else None
    license_ = license_ or source.license
    return {"license": license_} if license_ else {}
