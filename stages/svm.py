"""Let the rival label the test comments: a linear support vector machine on TF-IDF, what a user would pick instead.

Reads   data/split/train.jsonl, test.jsonl, taxonomy.json
Writes  data/predictions/svm.jsonl: rows as `infer` writes them, without contents and emotions; metrics/svm.json
Run     dvc repro svm

One machine a leaf, against the rest (Joachims, 1998). A comment gets the leaf with the largest margin, and each other
whose margin is above a threshold: the one with the best F1 on a fifth of the training comments, held out once for that.
"""

import os
import time
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.answer import render_answer
from stages.comments import Segment, parse_comment, segment_row, text_hash, unit_hash
from stages.entry import run
from stages.experiment import Svm
from stages.params import load_params, load_profile
from stages.records import Row, read_json, read_jsonl, stream_jsonl, write_json, write_jsonl
from stages.taxonomy import LabelPath, Taxonomy

HELD_OUT = 0.2
BLOCK = 1024  # comments whose margins are in memory at a time
Margins = npt.NDArray[np.float32]  # (comments, leaves)
Held = npt.NDArray[np.bool_]  # (comments, leaves): whether a comment has a leaf


class LinearRival:
    """TF-IDF over words and pairs of words, and a linear machine for each leaf that training has."""

    def __init__(self, svm: Svm) -> None:
        """`svm` says how much an error weighs."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.svm = svm
        single: Any = np.float32
        self.vectorizer: Any = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=50_000, token_pattern=r"\w+", dtype=single
        )

    def fit(self, texts: list[str], held: Held, note: str) -> "LinearRival":
        """Learn from the texts and the leaves that each has; a bar called `note` shows how far it is."""
        from joblib import Parallel, delayed
        from sklearn.svm import LinearSVC
        from tqdm import tqdm

        features = self.vectorizer.fit_transform(texts)

        def one(wanted: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float32], float]:
            if wanted.all() or not wanted.any():  # nothing to tell apart
                return np.zeros(features.shape[1], np.float32), float(wanted.all()) * 2 - 1
            machine: Any = LinearSVC(C=self.svm.c, random_state=0).fit(features, wanted)
            return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])

        work = Parallel(n_jobs=os.cpu_count(), backend="threading", return_as="generator")
        machines = tqdm(work(delayed(one)(column) for column in held.T), note, held.shape[1], unit="leaf", disable=None)
        weights, offsets = zip(*machines, strict=True)
        self.weights, self.offsets = np.stack(weights, axis=1), np.array(offsets, np.float32)
        return self

    def margins(self, texts: list[str]) -> Margins:
        """Return how far each text is on each leaf's side."""
        return self.vectorizer.transform(texts) @ self.weights + self.offsets


def choose(margins: Margins, threshold: float) -> Held:
    """Return the leaves of each comment: all above `threshold`, and the one with the largest margin."""
    return (margins >= threshold) | (margins >= margins.max(axis=1, keepdims=True))


def best_threshold(margins: Margins, held: Held) -> float:
    """Return the threshold with the best micro F1 of leaves; infinite where one leaf a comment is best."""
    found = {}
    for threshold in (*np.linspace(-1.0, 1.0, 41), np.inf):
        chosen = choose(margins, threshold)
        found[float(threshold)] = 2 * (chosen & held).sum() / (chosen.sum() + held.sum())
    return max(found, key=lambda threshold: (found[threshold], threshold))


def leaves_of(rows: list[Row], taxonomy: Taxonomy) -> tuple[list[LabelPath], Held]:
    """Return the leaves that the comments have, in the taxonomy's order, and which comment has which."""
    paths = [{segment.path for segment in parse_comment(row, taxonomy).segments} for row in rows]
    seen = set[LabelPath]().union(*paths)
    leaves = [leaf for leaf in taxonomy.leaves if leaf in seen]
    number = {leaf: place for place, leaf in enumerate(leaves)}
    held = np.zeros((len(rows), len(leaves)), np.bool_)
    for place, own in enumerate(paths):
        held[place, [number[leaf] for leaf in own]] = True
    return leaves, held


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
    params = load_params()
    limit = load_profile(params.profile).infer.limit  # the same comments as the models, or they make no pairs
    taxonomy = Taxonomy.from_rows(read_json("data/split/taxonomy.json"))
    train = read_jsonl("data/split/train.jsonl")
    test = list(islice(stream_jsonl("data/split/test.jsonl"), limit))
    start, cpu = time.perf_counter(), time.process_time()
    leaves, held = leaves_of(train, taxonomy)
    texts = np.array([row["text"] for row in train], object)
    aside = np.array([unit_hash(f"svm {row['id']}") < HELD_OUT for row in train])
    threshold = np.inf
    if aside.any() and not aside.all():
        first = LinearRival(params.svm).fit(list(texts[~aside]), held[~aside], "svm: threshold")
        threshold = best_threshold(first.margins(list(texts[aside])), held[aside])
    rival = LinearRival(params.svm).fit(list(texts), held, "svm")
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
        "core_hours": round((time.process_time() - cpu) / 3600, 5),
        "features": rival.weights.shape[0],
        "leaves": len(leaves),
        "threshold": None if np.isinf(threshold) else round(threshold, 4),
    }
    write_jsonl("data/predictions/svm.jsonl", rows)
    write_json("metrics/svm.json", {"svm": {"svm": figures}})
    print(f"svm: {len(leaves)} leaves learnt in {figures['train_seconds']:.0f} s from {len(train)} comments")


if __name__ == "__main__":
    run(main)
