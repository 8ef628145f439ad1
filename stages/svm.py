"""Let the rival label the test comments: a linear support vector machine on TF-IDF, what a user would pick instead.

Reads   data/split/train.jsonl, test.jsonl, taxonomy.json
Writes  data/predictions/svm.jsonl: rows as `infer` writes them, without contents and emotions; metrics/svm.json
Run     dvc repro svm

It learns from comments and from the contents of segments. A comment gets the leaf with the largest margin, and each
other one above a threshold: that with the best F1 on a fifth of the training comments, held out once to find it.
"""

import os
import time
from itertools import islice

import numpy as np

from alloy.baseline.linear_svm import Held, LinearRival, best_threshold, choose
from alloy.baseline.settings import Svm
from alloy.core.files import Row, read_jsonl, stream_jsonl, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import run
from alloy.core.text import text_hash, unit_hash
from alloy.formats.comments import Comment, Segment, parse_comment, segment_row
from alloy.formats.taxonomy import LabelPath
from alloy.inference.settings import Infer
from alloy.labelling.answer import render_answer
from alloy.labelling.task import read_taxonomy

HELD_OUT = 0.2
BLOCK = 1024  # comments whose margins are in memory at a time


def leaves_of(paths: list[set[LabelPath]], leaves: list[LabelPath]) -> Held:
    """Return which of the `leaves` each comment has."""
    number = {leaf: place for place, leaf in enumerate(leaves)}
    held = np.zeros((len(paths), len(leaves)), np.bool_)
    for place, own in enumerate(paths):
        held[place, [number[leaf] for leaf in own]] = True
    return held


def examples(comments: list[Comment]) -> tuple[list[str], list[set[LabelPath]]]:
    """Return texts and the leaves of each: of every comment, and of every segment that has a content of its own."""
    texts = [comment.text for comment in comments]
    paths = [{segment.path for segment in comment.segments} for comment in comments]
    parts = [s for comment in comments for s in comment.segments if s.content and s.content != comment.text]
    return [*texts, *(str(part.content) for part in parts)], [*paths, *({part.path} for part in parts)]


def prediction(row: Row, paths: list[LabelPath], levels: tuple[str, ...]) -> Row:
    """Return a row as `infer` writes it."""
    segments = tuple(Segment(path) for path in paths)
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
    leaves = [leaf for leaf in taxonomy.leaves if leaf in seen]

    def learn(comments: list[Comment], note: str) -> LinearRival:
        texts, paths = examples(comments)
        return LinearRival(svm).fit(texts, leaves_of(paths, leaves), note)

    aside = [comment for comment in train if unit_hash(f"svm {comment.id}") < HELD_OUT]
    rest = [comment for comment in train if unit_hash(f"svm {comment.id}") >= HELD_OUT]
    threshold = np.inf
    if aside and rest:
        margins = learn(rest, "svm: threshold").margins([comment.text for comment in aside])
        threshold = best_threshold(margins, leaves_of([{s.path for s in c.segments} for c in aside], leaves))
    rival = learn(train, "svm")
    trained = time.perf_counter()
    rows = []
    for at in range(0, len(test), BLOCK):
        block = test[at : at + BLOCK]
        for row, own in zip(block, choose(rival.margins([row["text"] for row in block]), threshold), strict=True):
            rows.append(prediction(row, [leaves[place] for place in np.flatnonzero(own)], taxonomy.levels))
    ended = time.perf_counter()
    figures = {
        "train_seconds": round(trained - start, 1),
        "comments_per_second": round(len(test) / (ended - trained), 1),
        "core_hours": round((ended - start) * (os.cpu_count() or 1) / 3600, 5),
        "features": rival.weights.shape[0],
        "leaves": len(leaves),
        "threshold": None if np.isinf(threshold) else round(threshold, 4),
    }
    write_jsonl("data/predictions/svm.jsonl", rows)
    write_json("metrics/svm.json", {"svm": {"svm": figures}})
    print(f"svm: {len(leaves)} leaves learnt in {figures['train_seconds']:.0f} s from {len(train)} comments")


if __name__ == "__main__":
    run(main)
