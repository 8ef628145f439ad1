"""Convert IFEval, in the layout of Google or of the hub, to canonical prompts.

The raw file is JSON Lines (ifeval_input_data.jsonl or input_data.jsonl, also .gz), or the hub's parquet file.

Prompts keep their order. Each instruction keeps its own arguments; the hub's nulls for other arguments are dropped.
"""

import re
from pathlib import Path

from alloy.core.files import InputError, LocatedRows, find_files, read_located_rows, write_jsonl
from alloy.formats.ifeval import FIELDS, check_prompts
from alloy.formats.parquet import read_parquet

SOURCE = "https://huggingface.co/datasets/google/IFEval"
LAYOUT = re.compile(r"(ifeval_)?input_data\.jsonl(\.gz)?|train-\d+-of-\d+\.parquet")


def find_layout(raw: Path) -> list[Path]:
    """Return the files under `raw`, in the order of their names. They must all have one layout."""
    no_files = f"no IFEval file; put input_data.jsonl or the parquet file of {SOURCE} there"
    files = find_files(raw, LAYOUT.fullmatch, no_files)
    lines = [path for path in files if path.suffix != ".parquet"]
    if lines and len(files) > 1:
        raise InputError(f"{raw}: expected one layout, got {files[0].name} and {files[1].name}; remove one of them")
    return files


def read_raw(files: list[Path]) -> LocatedRows:
    """Yield the rows of all files, each with its location (`file:line`)."""
    for path in files:
        yield from read_parquet(path, FIELDS, SOURCE) if path.suffix == ".parquet" else read_located_rows(path)


def convert_ifeval(raw: Path, out: Path) -> list[str]:
    """Write ifeval.jsonl from the file below `raw`; return the lines to print."""
    rows = check_prompts(read_raw(find_layout(raw)))
    write_jsonl(out / "ifeval.jsonl", rows)
    instructions = [name for row in rows for name in row["instruction_id_list"]]
    return [f"{len(rows)} prompts, {len(instructions)} instructions of {len(set(instructions))} kinds"]
