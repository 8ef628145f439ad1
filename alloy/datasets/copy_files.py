"""Copy data that is already canonical. Benchmarks and prompts are checked here, comments in the stage `split`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, count_lines, number_lines
from alloy.datasets.find_file import find_data, list_names
from alloy.datasets.rows import JSON
from alloy.datasets.source import SOURCE, Source
from alloy.datasets.taxonomy_table import LEVEL, copy_taxonomy, find_taxonomy, write_from_labels
from alloy.formats.chat import read_chat_prompts
from alloy.formats.ifeval import load_prompts
from alloy.formats.mmlu import load_questions
from alloy.formats.origin import read_origin, write_origin
from alloy.formats.taxonomy import NONE, LabelPath, Place, clean_label
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
    uses: dict[LabelPath, int] = {}  # first line with each path, as it is spelled
    for paths in map_blocks(read_paths, number_lines(out / "comments.jsonl")):
        for path, number in paths.items():
            uses.setdefault(path, number)
    if not uses:
        raise InputError(
            f"{folder}: no taxonomy.csv, and no labels L1, L2, ... in {files[0]}; add a taxonomy.csv or labels"
        )
    depth = max(map(len, uses))
    origin = read_origin(out / "comments.jsonl")
    places: dict[LabelPath, Place] = {}
    for path, number in uses.items():
        places.setdefault((*path, *[NONE] * (depth - len(path))), origin.locate_line(number))
    return [*lines, write_from_labels(out / "taxonomy.csv", places, depth)]


def read_paths(block: list[tuple[int, bytes]]) -> dict[LabelPath, int]:
    """Return the label paths in a block of lines, as they are spelled, each with its first line.

    The stage `split` reports invalid lines.
    """
    paths: dict[LabelPath, int] = {}
    for number, line in block:
        try:
            for segment in orjson.loads(line)["segments"]:
                if all(path := _read_path(segment)):
                    paths.setdefault(path, number)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    paths.pop((), None)
    return paths


def _read_path(segment: Row) -> LabelPath:
    """Return the path of a segment, as it is spelled, up to its last level that is not null.

    A null level above that is `(none)`, but the first level is "".
    """
    labels = {int(key[1:]): label for key, label in segment.items() if LEVEL.fullmatch(key) and label is not None}
    absent = {level: NONE if level > 1 else "" for level in range(1, max(labels, default=0))}
    return tuple([clean_label(label) for _, label in sorted((absent | labels).items())])


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
