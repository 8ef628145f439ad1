"""Let the rival label the test comments: a linear support vector machine on TF-IDF, what a user would pick instead.

Reads   data/split/train.jsonl, test.jsonl, taxonomy.json
Writes  data/predictions/svm.jsonl: rows as `infer` writes them, without contents, and with emotions if the training
        comments have emotions; metrics/svm.json
Run     dvc repro svm

It learns from comments and from the contents of segments. A comment gets the leaf with the largest margin, and each
other one above a threshold: that with the best F1 on a fifth of the training comments, held out once to find it. A
second set of machines gives each of these leaves an emotion (`EmotionSvm` in alloy/baseline/linear_svm.py).
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
from alloy.core.text import text_hash
from alloy.formats.comments import Segment, parse_comment, segment_row
from alloy.inference.settings import Infer
from alloy.labelling.answer import render_answer
from alloy.labelling.task import read_taxonomy

BLOCK = 1024  # comments whose margins are in memory at a time


def prediction(row: Row, segments: tuple[Segment, ...], levels: tuple[str, ...]) -> Row:
    """Return a row as `infer` writes it."""
    return {
        "id": row["id"],
        "hash": text_hash(row["text"]),
        "raw": render_answer(segments, levels),
        "valid": True,
        "finish": "stop",
        "segments": [segment_row(segment, levels) for segment in segments],
    }


def main() -> None:
    """Learn, label, write."""
    svm, infer = load_sections(Svm, Infer)
    limit = infer.limit  # the same comments as the models, or they make no pairs
    taxonomy = read_taxonomy()
    train = [parse_comment(row, taxonomy) for row in read_jsonl("data/split/train.jsonl")]
    test = list(islice(stream_jsonl("data/split/test.jsonl"), limit))
    start = time.perf_counter()
    seen = {segment.path for comment in train for segment in comment.segments}
    labeler = train_labeler(train, [leaf for leaf in taxonomy.leaves if leaf in seen], svm)
    trained = time.perf_counter()
    rows = []
    for at in range(0, len(test), BLOCK):
        block = test[at : at + BLOCK]
        for row, segments in zip(block, labeler.label_texts([row["text"] for row in block]), strict=True):
            rows.append(prediction(row, segments, taxonomy.levels))
    ended = time.perf_counter()
    figures = {
        "train_seconds": round(trained - start, 1),
        "comments_per_second": round(len(test) / (ended - trained), 1),
        "core_hours": round((ended - start) * (os.cpu_count() or 1) / 3600, 5),
        "features": labeler.paths.weights.shape[0],
        "leaves": len(labeler.leaves),
        "emotions": len(labeler.emotions.emotions) if labeler.emotions else 0,
        "threshold": None if np.isinf(labeler.threshold) else round(labeler.threshold, 4),
    }
    write_jsonl("data/predictions/svm.jsonl", rows)
    write_json("metrics/svm.json", {"svm": {"svm": figures}})
    told = f"{len(labeler.leaves)} leaves and {figures['emotions']} emotions"
    print(f"svm: {told} learned in {figures['train_seconds']:.0f} s from {len(train)} comments")


if __name__ == "__main__":
    run(main)
