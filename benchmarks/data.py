"""Measure seconds and memory of the stages that make the training data, for different numbers of rows.

    python -m benchmarks.data [rows ...]

Runs `split`, `decontaminate` and `mix`, as DVC starts them, on `rows` comments and `rows` general rows (default:
10,000, 100,000 and 1,000,000). Comments have 10 to 30 words of real complaints and one to three of the 1,280 real paths
of ../shared/data/cfpb_voc. General rows have a question of up to 30 words and an answer of up to 40. The benchmarks are
the real MMLU and IFEval. `mix.ratio` is so high that nearly all general rows are sampled. Memory is the peak of a stage
and its child processes, with shared memory counted once (PSS), measured ten times per second. The result is written to
benchmarks/results/data-cpu<cores>-<date>.json.
"""

import datetime
import gzip
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import psutil

from alloy.core.files import Row, read_jsonl, write_json, write_jsonl
from alloy.core.stage import run
from benchmarks.infer import make_model

SHARED = Path("../shared/data")
CFPB = SHARED / "cfpb_voc"
STAGES = ("split", "decontaminate", "mix")
STAGES_WITH_GOAL = ("split", "mix")  # stages whose total has a goal
PARAMS = """
mix: {ratio: 0.55}
"""


class WordSampler:
    """Samples texts from the words of real complaints, by their frequency."""

    def __init__(self) -> None:
        with gzip.open(CFPB / "cfpb_voc.jsonl.gz", "rt", encoding="utf-8") as lines:
            self.texts = [json.loads(line)["text"] for line in lines]
        counts = Counter(word for text in self.texts for word in text.split())
        self.words, self.weights = list(counts), list(accumulate(counts.values()))
        self.rng = random.Random(0)

    def sample_text(self, min_words: int, max_words: int) -> str:
        """Return a text of `min_words` to `max_words` words."""
        return " ".join(
            self.rng.choices(self.words, cum_weights=self.weights, k=self.rng.randint(min_words, max_words))
        )


def make_comments(count: int, words: WordSampler, paths: list[Row]) -> Iterator[Row]:
    """Yield canonical comments."""
    for number in range(count):
        segments = [{**words.rng.choice(paths)} for _ in range(words.rng.randint(1, 3))]
        yield {"id": f"c{number}", "text": words.sample_text(10, 30), "segments": segments}


def make_general_rows(count: int, words: WordSampler) -> Iterator[Row]:
    """Yield canonical general rows of four sources."""
    for number in range(count):
        chat = [("user", words.sample_text(5, 30)), ("assistant", words.sample_text(1, 40))]
        yield {
            "id": f"g{number}",
            "category": "chat",
            "source": f"made_{number % 4}",
            "messages": [{"role": role, "content": content} for role, content in chat],
        }


def write_project(folder: Path, count: int, words: WordSampler) -> None:
    """Write a project to `folder` in which the stages before `split` have run."""
    shutil.copytree("stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "profiles").mkdir()
    (folder / "profiles/demo.yaml").write_text("train: {lr: 1.0e-3, max_length: 1024}\n")
    prepared = folder / "data/prepared"
    paths = [
        {level: row[level] for level in ("L1", "L2", "L3", "L4")}
        for row in map(json.loads, (CFPB / "taxonomy.jsonl").open(encoding="utf-8"))
    ]
    write_jsonl(prepared / "comments/comments.jsonl", make_comments(count, words, paths))
    rows = (",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in paths)
    (prepared / "comments/taxonomy.csv").write_text("\n".join(["L1,L2,L3,L4", *rows, ""]), encoding="utf-8")
    write_jsonl(prepared / "general/general.jsonl", make_general_rows(count, words))
    for split in ("test", "dev"):
        write_jsonl(prepared / "benchmark" / f"{split}.jsonl", read_jsonl(SHARED / "mmlu" / f"mmlu_{split}.jsonl.gz"))
    write_jsonl(prepared / "instructions/ifeval.jsonl", read_jsonl(SHARED / "ifeval/ifeval_input_data.jsonl.gz"))


def measure_stage(stage: str, folder: Path, *arguments: str) -> tuple[float, float]:
    """Run a stage and return (seconds, peak memory in GiB)."""
    start = time.perf_counter()
    process = psutil.Popen([sys.executable, "-m", f"stages.{stage}", *arguments], cwd=folder)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_read_memory, [process, *_list_children(process)])))
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, stage)
    return time.perf_counter() - start, peak / 2**30


def _list_children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _read_memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def main() -> None:
    """Measure the stages and write the result."""
    counts = [int(text) for text in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    words = WordSampler()
    result: Row = {
        "command": " ".join(["python -m benchmarks.data", *sys.argv[1:]]),
        "machine": f"cpu{os.cpu_count()}",
        "processor": platform.processor() or platform.machine(),
        "rows": {},
    }
    with tempfile.TemporaryDirectory() as temporary:
        make_model(Path(temporary) / "base", words.texts[:2000])
        for count in counts:
            folder = Path(temporary) / str(count)
            write_project(folder, count, words)
            shutil.copytree(Path(temporary) / "base", folder / "models/base")
            measured = {stage: measure_stage(stage, folder) for stage in STAGES}
            shutil.rmtree(folder)
            result["rows"][str(count)] = {
                **{stage: {"seconds": round(s, 2), "GiB": round(gib, 3)} for stage, (s, gib) in measured.items()},
                "split and mix": {
                    "seconds": round(sum(measured[stage][0] for stage in STAGES_WITH_GOAL), 2),
                    "GiB": round(max(measured[stage][1] for stage in STAGES_WITH_GOAL), 3),
                },
            }
            print(count, result["rows"][str(count)], flush=True)
    out = Path(f"benchmarks/results/data-cpu{os.cpu_count()}-{datetime.datetime.now(tz=datetime.UTC).date()}.json")
    write_json(out, result)
    print(out)


if __name__ == "__main__":
    run(main)
