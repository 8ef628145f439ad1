"""Label the test comments with the baseline: a linear support vector machine on TF-IDF features.

Reads   data/split/train.jsonl, test.jsonl, taxonomy.json
Writes  data/predictions/svm.jsonl: rows in the format of `infer`, without contents, and with emotions if the training
        comments have emotions; metrics/svm.json
Run     dvc repro svm

The SVM is trained on comments and on the contents of segments. A comment gets the leaf with the largest margin, and all
other leaves above a threshold. The threshold has the best F1 on a fifth of the training comments, which are held out
once to find it. A second set of SVMs gives each of these leaves an emotion (`EmotionSvm` in
alloy/baseline/linear_svm.py).
"""

import os
import time
from itertools import islice

import numpy as np

from alloy.baseline.settings import Svm
from alloy.baseline.svm_labeler import train_labeler
from alloy.core.files import Row, read_jsonl, stream_jsonl, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import run
from alloy.core.text import hash_text
from alloy.formats.comments import Segment, make_segment_row, parse_comment
from alloy.inference.settings import Infer
from alloy.labeling.answer import render_answer
from alloy.labeling.task import read_taxonomy

BLOCK_SIZE = 1024  # comments whose margins are in memory at the same time


def make_prediction(row: Row, segments: tuple[Segment, ...], levels: tuple[str, ...]) -> Row:
    """Return a row in the format of `infer`."""
    return {
        "id": row["id"],
        "hash": hash_text(row["text"]),
        "raw": render_answer(segments, levels),
        "valid": True,
        "finish": "stop",
        "segments": [make_segment_row(segment, levels) for segment in segments],
    }


def main() -> None:
    """Train the SVM, label the comments, write predictions and metrics."""
    svm, infer = load_sections(Svm, Infer)
    limit = infer.limit  # the same comments as for the language models, so that they can be compared
    taxonomy = read_taxonomy()
    train = [parse_comment(row, taxonomy) for row in read_jsonl("data/split/train.jsonl")]
    test = list(islice(stream_jsonl("data/split/test.jsonl"), limit))
    start = time.perf_counter()
    training_leaves = {segment.path for comment in train for segment in comment.segments}
    labeler = train_labeler(train, [leaf for leaf in taxonomy.leaves if leaf in training_leaves], svm)
    training_end = time.perf_counter()
    rows = []
    for first in range(0, len(test), BLOCK_SIZE):
        block = test[first : first + BLOCK_SIZE]
        for row, segments in zip(block, labeler.label_texts([row["text"] for row in block]), strict=True):
            rows.append(make_prediction(row, segments, taxonomy.levels))
    labeling_end = time.perf_counter()
    metrics = {
        "train_seconds": round(training_end - start, 1),
        "comments_per_second": round(len(test) / (labeling_end - training_end), 1),
        "core_hours": round((labeling_end - start) * (os.cpu_count() or 1) / 3600, 5),
        "features": labeler.paths.weights.shape[0],
        "leaves": len(labeler.leaves),
        "emotions": len(labeler.emotions.emotions) if labeler.emotions else 0,
        "threshold": None if np.isinf(labeler.threshold) else round(labeler.threshold, 4),
    }
    write_jsonl("data/predictions/svm.jsonl", rows)
    write_json("metrics/svm.json", {"svm": {"svm": metrics}})
    learned = f"{len(labeler.leaves)} leaves and {metrics['emotions']} emotions"
    print(f"svm: {learned} learned in {metrics['train_seconds']:.0f} s from {len(train)} comments")


if __name__ == "__main__":
    run(main)
