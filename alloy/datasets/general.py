"""General instruction data in any layout, turned into canonical examples: `{id, category, source, messages, ..}`."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row
from alloy.datasets.chats import NoAnswer, messages_of
from alloy.datasets.rows import Item, parse_row, read_rows
from alloy.datasets.source import SOURCE, Layout, Source
from alloy.formats.general import KEYS, check_general, count_unknown_keys, unknown_key_warnings
from alloy.runtime.parallel import over_blocks

SHOWN = 3  # rows without an answer that are named


@dataclass
class Block:
    """What a block of rows has become: lines, the numbers and ids of their rows, and what to say of them."""

    lines: list[bytes]
    numbers: list[int]
    ids: list[str]
    sources: Counter[str]
    unknown: Counter[str]
    unanswered: list[int]


def convert_general(folder: Path, source: Source, out: Path) -> list[str]:
    """Write general.jsonl; return what to print. The first row with an error raises `InputError`."""
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    unanswered: list[str] = []
    several = False
    first: dict[str, str] = {}  # where each id was used
    with (out / "general.jsonl").open("wb") as file:
        for rows in read_rows(folder, source):
            label = f"{folder.name}-{Path(rows.place).name.partition('.')[0]}" if several else folder.name
            several = True
            for block in over_blocks(partial(convert_block, rows.place, label, source, folder.name), rows.numbered):
                for number, identity in zip(block.numbers, block.ids, strict=True):
                    place = f"{rows.place}:{number}"
                    if (before := first.setdefault(identity, place)) != place:
                        raise InputError(
                            f"{place}: duplicate id '{identity}' (first used in {before}); ids must be unique"
                        )
                file.writelines(block.lines)
                counts.update(block.sources)
                unknown.update(block.unknown)
                unanswered += [f"{rows.place}:{number}" for number in block.unanswered]
    if not counts:
        raise InputError(f"{folder}: no row with an answer; add rows, or correct layout in {folder / SOURCE}")
    said = [f"{counts.total()} examples of {len(counts)} sources"]
    if unanswered:
        said.append(f"{len(unanswered)} rows without an answer left out: {', '.join(unanswered[:SHOWN])}, ..")
    if strange := sorted(set(source.licenses) - set(counts)):
        known = ", ".join(sorted(counts))
        said.append(f"{folder / SOURCE}: licenses: no row is of {', '.join(strange)}; sources are {known}")
    return said + unknown_key_warnings(folder, unknown)


def convert_block(place: str, label: str, source: Source, name: str, block: list[tuple[int, Item]]) -> Block:
    """Return the canonical lines of a block of rows; `label` begins ids that are made, `name` is the source."""
    made = Block([], [], [], Counter(), Counter(), [])
    for number, item in block:
        row = parse_row(place, number, item)
        try:
            canonical = convert_row(row, source, f"{label}-{number}", name, made.unknown)
        except NoAnswer:
            made.unanswered.append(number)
            continue
        except ValueError as error:
            raise InputError(f"{place}:{number}: {error}") from None
        made.lines.append(orjson.dumps(canonical, option=orjson.OPT_APPEND_NEWLINE))
        made.numbers.append(number)
        made.ids.append(canonical["id"])
        made.sources[canonical["source"]] += 1
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
        turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
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
