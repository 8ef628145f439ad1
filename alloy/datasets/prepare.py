"""Convert a data folder to the canonical files of one kind of data, with the converter of its format."""

from collections.abc import Callable
from pathlib import Path

from alloy.core.files import InputError
from alloy.core.settings import BadRow
from alloy.datasets.assistant import convert_assistant
from alloy.datasets.cfpb import convert_cfpb
from alloy.datasets.comment_table import convert_table
from alloy.datasets.copy_files import copy_benchmark, copy_chat, copy_comments, copy_instructions
from alloy.datasets.demo.comments import make_comments
from alloy.datasets.demo.knowledge import make_benchmark, make_general, make_instructions
from alloy.datasets.find_file import resolve_inside
from alloy.datasets.general import convert_general
from alloy.datasets.ifeval import convert_ifeval
from alloy.datasets.keep_levels import keep_levels
from alloy.datasets.mams import convert_mams
from alloy.datasets.mmlu import convert_mmlu
from alloy.datasets.nova import convert_nova
from alloy.datasets.qa import convert_qa
from alloy.datasets.source import SOURCE, Format, Kind, Layout, Source, read_source

Convert = Callable[[Path, Source, Path], list[str]]  # (data folder, source, output folder) -> lines to print


def _convert_raw(convert: Callable[[Path, Path], list[str]]) -> Convert:
    """Return a converter that reads the folder `raw`, or the folder that `file` names."""

    def convert_folder(folder: Path, source: Source, out: Path) -> list[str]:
        raw = resolve_inside(folder, source.file or "raw")
        if not raw.is_dir():
            raise InputError(
                f"{raw}: no such folder; put the raw files there, or set `file` in {SOURCE} to their folder"
            )
        return convert(raw, out)

    return convert_folder


def _ignore_source(make: Callable[[Path, Path], list[str]]) -> Convert:
    """Return a converter that ignores the source.yaml of the data folder."""
    return lambda folder, _source, out: make(folder, out)


def _convert_comments(folder: Path, source: Source, out: Path) -> list[str]:
    if source.row_layout is Layout.canonical and source.format not in TABLES:
        return copy_comments(folder, source, out)
    return convert_table(folder, source, out)


ROWS = (Format.jsonl, Format.parquet, Format.hub)
TABLES = (Format.csv, Format.xlsx)
CHATS = (Format.alpaca, Format.sharegpt, Format.openai)
CONVERTERS: dict[Kind, dict[Format, Convert]] = {
    Kind.comments: {
        **dict.fromkeys((*ROWS, *TABLES), _convert_comments),
        Format.nova: _convert_raw(convert_nova),
        Format.cfpb: _convert_raw(convert_cfpb),
        Format.mams: _convert_raw(convert_mams),
        Format.demo: _ignore_source(make_comments),
    },
    Kind.general: {
        **dict.fromkeys((*ROWS, *CHATS), convert_general),
        Format.assistant: _convert_raw(convert_assistant),
        Format.demo: _ignore_source(make_general),
    },
    Kind.benchmark: {
        Format.jsonl: copy_benchmark,
        Format.mmlu: _convert_raw(convert_mmlu),
        Format.qa: _convert_raw(convert_qa),
        Format.demo: _ignore_source(make_benchmark),
    },
    Kind.instructions: {
        Format.jsonl: copy_instructions,
        Format.ifeval: _convert_raw(convert_ifeval),
        Format.demo: _ignore_source(make_instructions),
    },
    Kind.chat: {Format.jsonl: copy_chat},
}


def prepare_data(folder: Path, kind: Kind, out: Path, on_bad_row: BadRow = BadRow.stop) -> list[str]:
    """Write the canonical files of one `kind` of data to `out`; return the lines to print.

    `on_bad_row` applies to general data. The stage `split` checks comments.
    """
    source = read_source(folder, kind)
    convert = CONVERTERS[kind].get(source.format)
    if convert is None:
        known = ", ".join(CONVERTERS[kind])
        raise InputError(
            f"{folder / SOURCE}: format: expected one of {known} for {kind}, got {source.format}; correct `format`, or "
            f"set data.{kind} in params.yaml to another folder"
        )
    if not any(folder.glob("[!.]*")):
        raise InputError(f"{folder}: the folder is empty; add data files")
    if convert is convert_general:
        return convert_general(folder, source, out, on_bad_row)
    lines = convert(folder, source, out)
    if source.keep_levels is not None:
        if kind is not Kind.comments:
            raise InputError(f"{folder / SOURCE}: keep_levels: {kind} data has no levels; remove the key")
        lines.append(keep_levels(out, source.keep_levels, folder / SOURCE))
    return lines
