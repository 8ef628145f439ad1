"""Copy data that is already canonical. Benchmarks and prompts are checked here, comments in the stage `split`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from alloy.core.files import InputError, count_lines, number_lines
from alloy.datasets.find_file import find_data, list_names
from alloy.datasets.label_cells import normalize_label
from alloy.datasets.rows import JSON
from alloy.datasets.source import SOURCE, Source
from alloy.datasets.taxonomy_table import LEVEL, copy_taxonomy, find_taxonomy, write_from_labels
from alloy.formats.chat import read_chat_prompts
from alloy.formats.ifeval import load_prompts
from alloy.formats.mmlu import load_questions
from alloy.formats.origin import write_origin
from alloy.formats.taxonomy import LabelPath
from alloy.runtime.parallel import map_blocks


def copy_comments(folder: Path, source: Source, out: Path) -> list[str]:
    """Write comments.jsonl unchanged, line by line, so that the stage `split` can check it and name its lines."""
    files = find_data(folder, source, JSON, "comments.jsonl")
    rows: dict[str, int] = {}
    if len(files) == 1 and files[0].suffix == ".jsonl":
        shutil.copyfile(files[0], out / "comments.jsonl")
        rows[str(files[0])] = count_lines(files[0])
        if not rows[str(files[0])]:
            raise InputError(f"{files[0]}: the file is empty; write one JSON object per line")
    else:
        with (out / "comments.jsonl").open("wb") as file:
            for path in files:
                rows[str(path)] = _append_lines(path, file.write)
    write_origin(out, rows)
    lines = [f"{sum(rows.values())} comments"]
    if table := find_taxonomy(folder, source):
        copy_taxonomy(table, source, out)
        return lines
    leaves: set[LabelPath] = set()
    for paths in map_blocks(read_paths, number_lines(out / "comments.jsonl")):
        leaves |= paths
    if not leaves:
        raise InputError(
            f"{folder}: no taxonomy.csv, and no labels L1, L2, ... in {files[0]}; add a taxonomy.csv or labels"
        )
    depth = max(map(len, leaves))
    return [*lines, write_from_labels(out / "taxonomy.csv", {leaf for leaf in leaves if len(leaf) == depth}, depth)]


def read_paths(block: list[tuple[int, bytes]]) -> set[LabelPath]:
    """Return the label paths in a block of lines. The stage `split` reports invalid lines."""
    paths: set[LabelPath] = set()
    for _, line in block:
        try:
            segments = orjson.loads(line)["segments"]
            for segment in segments:
                levels = sorted((key for key in segment if LEVEL.fullmatch(key)), key=lambda key: int(key[1:]))
                paths.add(tuple(normalize_label(segment[level]) for level in levels))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            continue
    return {path for path in paths if path and all(path)}


def _append_lines(path: Path, write: Callable[[bytes], object]) -> int:
    """Write the lines of a file, including blank ones, so that line numbers stay the same. Return their number."""
    last = 0
    for number, line in number_lines(path):
        write(b"\n" * (number - last - 1) + line.rstrip(b"\r\n") + b"\n")
        last = number
    return last


def copy_benchmark(folder: Path, _source: Source, out: Path) -> list[str]:
    """Check test.jsonl and dev.jsonl of `benchmark/`, and copy them."""
    benchmark = folder / "benchmark"
    if not benchmark.is_dir():
        raise InputError(
            f"{benchmark}: no such folder; describe the files in {folder} ({list_names(folder)}) in {folder / SOURCE}"
        )
    subjects = load_questions(benchmark)
    for split in ("test", "dev"):
        shutil.copyfile(benchmark / f"{split}.jsonl", out / f"{split}.jsonl")
    return [f"{len(subjects)} subjects"]


def copy_instructions(folder: Path, source: Source, out: Path) -> list[str]:
    """Check ifeval.jsonl, and copy it."""
    return _copy_checked(find_data(folder, source, JSON, "ifeval.jsonl"), out / "ifeval.jsonl", load_prompts)


def copy_chat(folder: Path, source: Source, out: Path) -> list[str]:
    """Check prompts.jsonl, and copy it."""
    return _copy_checked(find_data(folder, source, JSON, "prompts.jsonl"), out / "prompts.jsonl", read_chat_prompts)


def _copy_checked(files: list[Path], target: Path, load: Callable[[Path], list[dict[str, object]]]) -> list[str]:
    if len(files) > 1:
        found = f"expected one file, got {files[0].name} and {files[1].name}"
        raise InputError(f"{files[0].parent}: {found}; set `file` in {SOURCE} to one of them")
    rows = load(files[0])
    shutil.copyfile(files[0], target)
    return [f"{len(rows)} prompts"]
