"""Measure the F1 of the SVM for different numbers of training comments.

    python -m benchmarks.svm_learning_curve data/prepared/comments [test comments]

The folder has `comments.jsonl` and `taxonomy.csv`, as `dvc repro prepare@comments` writes them. The stage `split`
chooses training and test comments; the first 200 test comments are labeled, as in the profile `smollm2`. For each size,
the SVM is trained three times, on random training comments (seeds 0, 1 and 2), and once on all of them. The result has
the mean, the lowest and the highest value of `f1` (paths) and of `f1_full` (paths with emotions). It is written to
benchmarks/results/svm-learning-curve-<date>.json.

Purpose: compare the SVM with a language model that was tuned on as many comments. In `alloy evidence mams`, the SVM
learns from all comments, the language model from 500.
"""

import datetime
import random
import sys
from pathlib import Path

from alloy.baseline.settings import Svm
from alloy.baseline.svm_labeler import train_labeler
from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.formats.comments import Comment
from alloy.scoring.matching import compute_scores, count_full, count_matches
from alloy.splitting.assignment import TEST, TRAIN
from benchmarks.svm_emotions import read_subset

SIZES, SEEDS, TEST_COMMENTS = (250, 500, 1000, 2000), (0, 1, 2), 200


def measure_svm(train: list[Comment], test: list[Comment]) -> Row:
    """Return F1 of paths, and of paths with emotions, of an SVM that is trained on `train`."""
    leaves = sorted({segment.path for comment in train for segment in comment.segments})
    predicted = train_labeler(train, leaves, Svm()).label_texts([comment.text for comment in test])
    gold = [comment.segments for comment in test]
    paths = [[[segment.path for segment in segments] for segments in labels] for labels in (gold, predicted)]
    return {
        "f1": compute_scores(count_matches(*paths)).f1,
        "f1_full": compute_scores(count_full(gold, predicted)).f1,
    }


def summarize(values: list[Row]) -> Row:
    """Return the mean, the lowest and the highest value of each score."""
    scores = {key: [value[key] for value in values] for key in values[0]}
    return {
        key: {"mean": round(sum(of_key) / len(of_key), 4), "low": round(min(of_key), 4), "high": round(max(of_key), 4)}
        for key, of_key in scores.items()
    }


def main() -> None:
    """Train the SVMs, write and print the scores per size."""
    train, test = (read_subset(Path(sys.argv[1]), subset) for subset in (TRAIN, TEST))
    test = test[: int(sys.argv[2]) if len(sys.argv) > 2 else TEST_COMMENTS]
    result: Row = {
        "command": " ".join(["python -m benchmarks.svm_learning_curve", *sys.argv[1:]]),
        "test comments": len(test),
        "seeds": list(SEEDS),
        "sizes": {},
    }
    for size in (*(size for size in SIZES if size < len(train)), len(train)):
        samples = [random.Random(seed).sample(train, size) for seed in SEEDS] if size < len(train) else [train]
        result["sizes"][str(size)] = summarize([measure_svm(sample, test) for sample in samples])
        print(f"{size} comments: {result['sizes'][str(size)]}", flush=True)
    write_json(f"benchmarks/results/svm-learning-curve-{datetime.datetime.now(tz=datetime.UTC).date()}.json", result)


if __name__ == "__main__":
    run(main)
