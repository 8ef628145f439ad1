"""From a data folder to the canonical files of one kind of data: which converter reads which format."""

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
from alloy.datasets.find_file import inside, listed
from alloy.datasets.general import convert_general
from alloy.datasets.ifeval import convert_ifeval
from alloy.datasets.keep_levels import keep_levels
from alloy.datasets.mams import convert_mams
from alloy.datasets.mmlu import convert_mmlu
from alloy.datasets.nova import convert_nova
from alloy.datasets.qa import convert_qa
from alloy.datasets.source import SOURCE, Format, Kind, Layout, Source, read_source

Convert = Callable[[Path, Source, Path], list[str]]  # data folder, source, folder to write into -> what to print


def _of_raw(convert: Callable[[Path, Path], list[str]]) -> Convert:
    """Return the converter that reads the folder `raw`, or the one that `file` names."""

    def run(folder: Path, source: Source, out: Path) -> list[str]:
        raw = inside(folder, source.file or "raw")
        if not raw.is_dir():
            raise InputError(
                f"{raw}: no such folder; put the raw files there, or name their folder as `file` in {SOURCE}"
            )
        return convert(raw, out)

    return run


def _of_folder(make: Callable[[Path, Path], list[str]]) -> Convert:
    return lambda folder, _source, out: make(folder, out)


def _comments(folder: Path, source: Source, out: Path) -> list[str]:
    if source.row_layout is Layout.canonical and source.format not in TABLES:
        return copy_comments(folder, source, out)
    return convert_table(folder, source, out)


ROWS = (Format.jsonl, Format.parquet, Format.hub)
TABLES = (Format.csv, Format.xlsx)
CHATS = (Format.alpaca, Format.sharegpt, Format.openai)
CONVERTERS: dict[Kind, dict[Format, Convert]] = {
    Kind.comments: {
        **dict.fromkeys((*ROWS, *TABLES), _comments),
        Format.nova: _of_raw(convert_nova),
        Format.cfpb: _of_raw(convert_cfpb),
        Format.mams: _of_raw(convert_mams),
        Format.demo: _of_folder(make_comments),
    },
    Kind.general: {
        **dict.fromkeys((*ROWS, *CHATS), convert_general),
        Format.assistant: _of_raw(convert_assistant),
        Format.demo: _of_folder(make_general),
    },
    Kind.benchmark: {
        Format.jsonl: copy_benchmark,
        Format.mmlu: _of_raw(convert_mmlu),
        Format.qa: _of_raw(convert_qa),
        Format.demo: _of_folder(make_benchmark),
    },
    Kind.instructions: {
        Format.jsonl: copy_instructions,
        Format.ifeval: _of_raw(convert_ifeval),
        Format.demo: _of_folder(make_instructions),
    },
    Kind.chat: {Format.jsonl: copy_chat},
}


def prepare(folder: Path, kind: Kind, out: Path, on_bad_row: BadRow = BadRow.stop) -> list[str]:
    """Write the canonical files of `kind` from what the data folder holds into `out`; return what to print.

    `on_bad_row` is for general rows; of comments, the stage `split` says which are bad.
    """
    source = read_source(folder, kind)
    convert = CONVERTERS[kind].get(source.format)
    if convert is None:
        known = ", ".join(CONVERTERS[kind])
        found = f"format {source.format} holds no {kind}"
        raise InputError(
            f"{folder / SOURCE}: {found} (expected {known}); name another folder for data.{kind} in params.yaml"
        )
    if not any(folder.glob("[!.]*")):
        raise InputError(f"{folder}: the folder is empty; put data there ({listed(folder)})")
    if convert is convert_general:
        return convert_general(folder, source, out, on_bad_row)
    said = convert(folder, source, out)
    if source.keep_levels is not None:
        if kind is not Kind.comments:
            raise InputError(f"{folder / SOURCE}: keep_levels: {kind} has no levels; leave it out")
        said.append(keep_levels(out, source.keep_levels, folder / SOURCE))
    return said
