"""Convert IFEval, as JSON Lines or parquet, to canonical prompts.

Reads   data/ifeval/raw/: one file, .jsonl, .jsonl.gz or .parquet
Writes  data/ifeval/ifeval.jsonl: `{key, prompt, instruction_id_list, kwargs}`, arguments that are null left out
Run     dvc repro data/ifeval/dvc.yaml
"""

from collections.abc import Iterator
from pathlib import Path

from stages.entry import run
from stages.instructions import check_prompt
from stages.records import InputError, Row, decode_lines, write_jsonl

HERE = Path("data/ifeval")
SOURCE = "https://huggingface.co/datasets/google/IFEval"


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row with its place for an error: `file:line`, or `file: row n` of parquet."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.ParquetFile(path).read().to_pylist()
        except (pa.ArrowException, OSError) as error:
            fault = str(error).splitlines()[0]
            raise InputError(f"{path}: not a whole parquet file ({fault}); fetch it again") from None
        for number, row in enumerate(rows, 1):
            yield f"{path}: row {number}", row
        return
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        yield f"{path}:{number}", row


def read_prompts(raw: Path) -> list[Row]:
    """Return the checked prompts of the one file in `raw`."""
    kinds = ("*.jsonl", "*.jsonl.gz", "*.parquet")
    files = sorted(path for kind in kinds for path in raw.rglob(kind))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise InputError(f"{raw}: one file of prompts belongs here (from {SOURCE}), there is {names}")
    prompts = []
    for place, row in read_rows(files[0]):
        try:
            prompts.append(check_prompt(row))
        except ValueError as fault:
            raise InputError(f"{place}: {fault}") from None
    return prompts


def main() -> None:
    """Find, read, check, write."""
    prompts = read_prompts(HERE / "raw")
    write_jsonl(HERE / "ifeval.jsonl", prompts)
    print(f"convert: {len(prompts)} prompts, {sum(len(row['kwargs']) for row in prompts)} instructions")


if __name__ == "__main__":
    run(main)
