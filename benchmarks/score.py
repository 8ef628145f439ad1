"""Measure seconds of scoring for different numbers of comments.

    python -m benchmarks.score [comments ...]

Scores generated comments of 1 to 4 segments with contents and emotions, over 1,420 frequent and rare leaves of four
levels. Three of four predicted segments are right, and one in fifty answers is not valid JSON. The
measured part of the stage `score` begins with parsed rows and ends with metrics, intervals and the article's score. A
first round, which loads the libraries, is not measured. The result is written to
benchmarks/results/score-cpu<cores>-<date>.json.
"""

import datetime
import os
import platform
import random
import sys
import time
from collections import Counter
from pathlib import Path

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.core.text import hash_text
from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labeling.answer import parse_answer, render_answer
from alloy.scoring.pairing import pair_predictions
from alloy.scoring.settings import Score
from stages.score import score_model

LEAVES = 1420
LEVELS = ("L1", "L2", "L3", "L4")
WORDS = [f"word{number}" for number in range(2000)]
EMOTIONS = ("anger", "joy", "neutral")


def make_taxonomy() -> Taxonomy:
    """Return a taxonomy with 1,420 leaves: 10 nodes at the first level, each with 5 or 6 nodes at each next level."""
    paths = [
        (f"Area {n // 142}", f"Topic {n // 25}", f"Aspect {n // 5}", f"Leaf {n}: what it is about")
        for n in range(LEAVES)
    ]
    return Taxonomy(LEVELS, dict.fromkeys(paths, ""))


def make_rows(count: int, taxonomy: Taxonomy) -> tuple[list[Row], list[Row]]:
    """Return (gold, predictions) as rows of their files."""
    rng = random.Random(0)
    leaves = list(taxonomy.leaves)
    weights = [1 / rank for rank in range(1, LEAVES + 1)]
    gold, predictions = [], []
    for number in range(count):
        paths = rng.choices(leaves, weights, k=rng.randint(1, 4))
        segments = [Segment(path, " ".join(rng.choices(WORDS, k=9)), rng.choice(EMOTIONS)) for path in paths]
        text = ". ".join(str(segment.content) for segment in segments)
        predicted = tuple(_predict_segment(segment, leaves, rng) for segment in rng.sample(segments, len(segments)))
        raw = render_answer(predicted, LEVELS)[: None if rng.random() < 0.98 else -9]
        answer = parse_answer(raw, LEVELS)
        rows = [make_segment_row(segment, LEVELS) for segment in answer.segments]
        gold.append(
            {"id": str(number), "text": text, "segments": [make_segment_row(part, LEVELS) for part in segments]}
        )
        row = {"id": str(number), "hash": hash_text(text), "raw": raw, "valid": answer.valid, "finish": "stop"}
        predictions.append({**row, "segments": rows})
    return gold, predictions


def _predict_segment(segment: Segment, leaves: list[LabelPath], rng: random.Random) -> Segment:
    path = segment.path if rng.random() < 0.75 else rng.choice(leaves)
    content = " ".join(str(segment.content).split()[rng.randrange(3) :])
    return Segment(path, content, rng.choice(EMOTIONS))


def measure_seconds(count: int) -> float:
    """Return the seconds to score `count` comments."""
    taxonomy = make_taxonomy()
    gold, predictions = make_rows(count, taxonomy)
    training = Counter(dict(zip(taxonomy.leaves, range(LEAVES), strict=True)))
    start = time.perf_counter()
    pairs = pair_predictions(gold, predictions, taxonomy, Path("predictions"))
    score_model(pairs, taxonomy, training, Score(), 0)
    return time.perf_counter() - start


def main() -> None:
    """Measure all sizes and write the result."""
    counts = [int(text) for text in sys.argv[1:]] or [10_000, 30_000, 100_000]
    measure_seconds(100)
    measured = {count: round(measure_seconds(count), 3) for count in counts}
    per_comment = {count: value / count for count, value in measured.items()}
    ratio = round(per_comment[max(counts)] / per_comment[min(counts)], 3)
    for count, value in measured.items():
        print(f"{count:,} comments: {value:.1f} s, {1e6 * per_comment[count]:.0f} microseconds each")
    result: Row = {
        "command": " ".join(["python -m benchmarks.score", *sys.argv[1:]]),
        "machine": f"cpu{os.cpu_count()}",
        "processor": platform.processor() or platform.machine(),
        "leaves": LEAVES,
        "seconds": {str(count): value for count, value in measured.items()},
        "seconds a comment, most / fewest comments": ratio,
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/score-cpu{os.cpu_count()}-{day}.json")
    write_json(out, result)
    print(f"seconds a comment, most / fewest comments: {ratio}", out)


if __name__ == "__main__":
    run(main)
