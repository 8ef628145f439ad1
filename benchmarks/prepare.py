"""Measure seconds and memory of the stage `prepare` for each format.

    python -m benchmarks.prepare [rows]

Converts `rows` comments (default: 1,000,000) as csv, as JSON Lines with columns and as canonical JSON Lines, and at
most 200,000 as xlsx. A comment has 10 to 30 words of real complaints, one of the 1,280 real paths of
../shared/data/cfpb_voc and an emotion. For xlsx, the result also has the seconds in which openpyxl reads the file in
read-only mode. Memory is the peak of the stage and its child processes (see benchmarks/data.py). The result is written
to benchmarks/results/prepare-cpu<cores>-<date>.json.
"""

import csv
import datetime
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from benchmarks.data import CFPB, WordSampler, measure_stage

LEVELS = ["L1", "L2", "L3", "L4"]
COLUMN_NAMES = ["id", "text", *LEVELS, "emotion"]
COLUMNS = {"id": "id", "text": "text", "levels": LEVELS, "emotion": "emotion"}
MAX_SHEET_ROWS = 200_000


def make_rows(count: int) -> Iterator[list[str]]:
    """Yield the cells of each comment."""
    words = WordSampler()
    paths = [
        [row[level] for level in LEVELS] for row in map(json.loads, (CFPB / "taxonomy.jsonl").open(encoding="utf-8"))
    ]
    for number in range(count):
        text, path = words.sample_text(10, 30), words.rng.choice(paths)
        yield [f"c{number}", text, *path, words.rng.choice(["joy", "anger", "neutral"])]


def write_csv(path: Path, count: int) -> None:
    """Write the comments as a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMN_NAMES)
        writer.writerows(make_rows(count))


def write_jsonl(path: Path, count: int) -> None:
    """Write the comments as JSON Lines whose keys are the column names."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(dict(zip(COLUMN_NAMES, row, strict=True))) + "\n" for row in make_rows(count))


def write_canonical(path: Path, count: int) -> None:
    """Write the comments in Alloy's canonical format."""
    with path.open("w", encoding="utf-8") as file:
        for identity, text, *labels, emotion in make_rows(count):
            segment = {**dict(zip(LEVELS, labels, strict=True)), "emotion": emotion}
            file.write(json.dumps({"id": identity, "text": text, "segments": [segment]}) + "\n")


def write_xlsx(path: Path, count: int) -> None:
    """Write the comments as a workbook."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Comments")
    sheet.append(COLUMN_NAMES)
    for row in make_rows(count):
        sheet.append(row)
    book.save(path)


def measure_openpyxl(path: Path) -> float:
    """Return the seconds that openpyxl takes to read all rows."""
    import openpyxl

    start = time.perf_counter()
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    for _ in book.worksheets[0].iter_rows(values_only=True):
        pass
    return time.perf_counter() - start


FORMATS: dict[str, tuple[str, Callable[[Path, int], None], Row]] = {
    "csv": ("a.csv", write_csv, {"format": "csv", "columns": COLUMNS}),
    "jsonl": ("a.jsonl", write_jsonl, {"format": "jsonl", "columns": COLUMNS}),
    "canonical jsonl": ("comments.jsonl", write_canonical, {"format": "jsonl"}),
    "xlsx": ("a.xlsx", write_xlsx, {"format": "xlsx", "columns": COLUMNS}),
}


def main() -> None:
    """Measure all formats and write the result."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    result: Row = {
        "command": " ".join(["python -m benchmarks.prepare", *sys.argv[1:]]),
        "machine": f"cpu{os.cpu_count()}",
        "processor": platform.processor() or platform.machine(),
        "formats": {},
    }
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        shutil.copytree("stages", project / "stages", ignore=shutil.ignore_patterns("__pycache__"))
        for name, (file, write, source) in FORMATS.items():
            folder = project / "data" / name.replace(" ", "-")
            folder.mkdir(parents=True)
            row_count = min(count, MAX_SHEET_ROWS) if name == "xlsx" else count
            write(folder / file, row_count)
            (folder / "source.yaml").write_text(yaml.safe_dump(source))
            (project / "params.yaml").write_text(f"data: {{comments: {folder.name}}}\n")
            seconds, memory = measure_stage("prepare", project, "comments")
            measured = {"rows": row_count, "MB": round((folder / file).stat().st_size / 1e6)}
            measured |= {"seconds": round(seconds, 2), "GiB": round(memory, 3)}
            if name == "xlsx":
                measured["openpyxl seconds"] = round(measure_openpyxl(folder / file), 2)
            result["formats"][name] = measured
            shutil.rmtree(folder)
            print(name, measured, flush=True)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/prepare-cpu{os.cpu_count()}-{today}.json")
    write_json(out, result)
    print(out)


if __name__ == "__main__":
    run(main)
