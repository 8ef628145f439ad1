"""Compare methods for predicting emotions with the SVM, on held-out training comments.

    python -m benchmarks.svm_emotions data/prepared/comments data/mams

Each folder has `comments.jsonl` and `taxonomy.csv`; its test comments, as chosen by the stage `split`, are not used.
`dvc repro prepare@comments` makes the demo's files; those of MAMS are made from ../shared/data, by prepare.py in
../shared/cases/real-model.

Three folds, each a fifth of the training comments, are held out in turn. For each method, the result has `f1` (paths)
and `f1_full` (paths with emotions) by fold and over all held-out comments, the mean seconds of training and labeling,
and the difference of its `f1_full` to that of the first method, with a 95 % interval by paired bootstrap over comments.
It is written to benchmarks/results/svm-emotions-cpu<cores>-<date>.json.

The methods, of which the stage `svm` uses the first (`alloy/baseline/svm_labeler.py`):

- `words, also by path`: predict paths, then emotions from the words, the path, and the words in a column per path.
- `words and path`: the same without the columns per path.
- `one label for both`: each pair of a path and an emotion is a label; predict all labels above a threshold.
- `paths, then one label for both`: the paths of the first method, with the emotion whose pair has the largest margin.
- `most frequent`: the paths of the first method, with the most frequent emotion of the path in training.
"""

import datetime
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from alloy.baseline.linear_svm import EmotionSvm, Margins
from alloy.baseline.settings import Svm
from alloy.baseline.svm_labeler import (
    HELD_OUT,
    SvmLabeler,
    build_emotion_examples,
    train_labeler,
    train_path_svm,
)
from alloy.core.files import InputError, Row, write_json
from alloy.core.stage import run
from alloy.core.text import hash_to_unit_interval
from alloy.formats.comments import Comment, Segment, parse_comment
from alloy.formats.taxonomy import LabelPath, load_taxonomy
from alloy.scoring.bootstrap import MIN_ITEMS, Counts, compute_f1, estimate_change
from alloy.scoring.matching import compute_scores, count_full, count_matches
from alloy.splitting.assignment import TRAIN
from alloy.splitting.settings import Split
from stages.split import divide_comments, read_comments

FOLDS, RESAMPLES = 3, 1000
SVM = Svm()
Labeled = list[tuple[Segment, ...]]
LabelingMethod = Callable[[list[Comment], list[LabelPath], list[str]], Labeled]


class WordsAndPath(EmotionSvm):
    """`EmotionSvm` without the columns of words per path."""

    def _cross_with_paths(self, tfidf: Any, path_indices: Any) -> Any:  # noqa: ANN401 (as in EmotionSvm)
        from scipy.sparse import csr_matrix

        return csr_matrix((tfidf.shape[0], 0), dtype=tfidf.dtype)


def label_by_words_and_crossed_path(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` by the method of the stage."""
    return train_labeler(train, leaves, SVM).label_texts(texts)


def label_by_words_and_path(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` without the columns of words per path."""
    labeler = _train_path_labeler(train, leaves)
    emotions = WordsAndPath(SVM, labeler.paths.vectorizer, leaves).fit(*build_emotion_examples(train))
    return SvmLabeler(leaves, labeler.paths, labeler.threshold, emotions).label_texts(texts)


def label_pairs(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` by SVMs for pairs of a path and an emotion."""
    labeler = train_labeler(_join_emotions(train), _list_pairs(train), SVM)
    return [
        tuple(Segment(s.path[:-1], emotion=s.path[-1]) for s in segments) for segments in labeler.label_texts(texts)
    ]


def label_paths_then_pairs(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` with the paths of the stage's method, and the emotion whose pair has the largest margin."""
    pairs = _list_pairs(train)
    margins = train_path_svm(_join_emotions(train), pairs, SVM, "pairs").compute_margins(texts)
    columns: defaultdict[LabelPath, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        columns[pair[:-1]].append(index)

    def choose_emotion(path: LabelPath, pair_margins: Margins) -> Segment:
        return Segment(path, emotion=pairs[max(columns[path], key=lambda index: pair_margins[index])][-1])

    labeled = _train_path_labeler(train, leaves).label_texts(texts)
    return [
        tuple(choose_emotion(s.path, pair_margins) for s in segments)
        for segments, pair_margins in zip(labeled, margins, strict=True)
    ]


def label_by_most_frequent_emotion(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` with the paths of the stage's method, and the most frequent emotion of each path."""
    counted: defaultdict[LabelPath, Counter[str | None]] = defaultdict(Counter)
    for comment in train:
        for segment in comment.segments:
            counted[segment.path][segment.emotion] += 1
    usual = {path: counts.most_common(1)[0][0] for path, counts in counted.items()}
    labeled = _train_path_labeler(train, leaves).label_texts(texts)
    return [tuple(Segment(s.path, emotion=usual[s.path]) for s in segments) for segments in labeled]


METHODS: dict[str, LabelingMethod] = {
    "words, also by path": label_by_words_and_crossed_path,
    "words and path": label_by_words_and_path,
    "one label for both": label_pairs,
    "paths, then one label for both": label_paths_then_pairs,
    "most frequent": label_by_most_frequent_emotion,
}


def _train_path_labeler(train: list[Comment], leaves: list[LabelPath]) -> SvmLabeler:
    """Return a labeler of paths, trained on the comments without their emotions."""
    return train_labeler(
        [c._replace(segments=tuple(s._replace(emotion=None) for s in c.segments)) for c in train], leaves, SVM
    )


def _join_emotions(comments: list[Comment]) -> list[Comment]:
    """Return the comments with each emotion as the last level of its path."""
    return [
        c._replace(segments=tuple(Segment((*s.path, s.emotion or ""), s.content) for s in c.segments)) for c in comments
    ]


def _list_pairs(comments: list[Comment]) -> list[LabelPath]:
    return sorted({segment.path for comment in _join_emotions(comments) for segment in comment.segments})


@dataclass
class Measurement:
    """The results of one method per fold: counts of paths, counts of paths with emotions, seconds."""

    paths: list[Counts]
    full: list[Counts]
    seconds: list[float]


def read_subset(folder: Path, subset: int) -> list[Comment]:
    """Return the comments of a folder that `split` assigns to `subset`, TRAIN or TEST."""
    taxonomy = load_taxonomy(folder / "taxonomy.csv")
    survey = read_comments(folder / "comments.jsonl", taxonomy)
    split = Split()
    assignment, _ = divide_comments(survey, split.test, split.near_duplicate_threshold)
    rows = (orjson.loads(survey.rows[index]) for index in np.flatnonzero(assignment == subset).tolist())
    return [parse_comment(row, taxonomy) for row in rows]


def measure_methods(comments: list[Comment]) -> Row:
    """Return the results of each method on the folds of `comments`."""
    measured = {name: Measurement([], [], []) for name in METHODS}
    for fold in range(FOLDS):
        held_out = [
            c for c in comments if fold * HELD_OUT <= hash_to_unit_interval(f"fold {c.id}") < (fold + 1) * HELD_OUT
        ]
        train = [
            c for c in comments if not fold * HELD_OUT <= hash_to_unit_interval(f"fold {c.id}") < (fold + 1) * HELD_OUT
        ]
        leaves = sorted({segment.path for comment in train for segment in comment.segments})
        gold = [comment.segments for comment in held_out]
        for name, label_texts in METHODS.items():
            start = time.perf_counter()
            labeled = label_texts(train, leaves, [comment.text for comment in held_out])
            measurement = measured[name]
            measurement.seconds.append(time.perf_counter() - start)
            measurement.full.append(count_full(gold, labeled))
            measurement.paths.append(
                count_matches(*([[s.path for s in side] for side in sides] for sides in (gold, labeled)))
            )
            print(
                f"fold {fold}, {name}: {compute_scores(measurement.paths[-1]).f1:.4f}, "
                f"{compute_scores(measurement.full[-1]).f1:.4f}",
                flush=True,
            )
    chosen = np.concatenate(next(iter(measured.values())).full)
    return {name: summarize(measurement, chosen) for name, measurement in measured.items()}


def summarize(measurement: Measurement, chosen: Counts) -> Row:
    """Return the metrics of one method; `chosen` are the counts of the first method, over all folds."""
    full = np.concatenate(measurement.full)
    change = estimate_change(chosen, full, compute_f1, RESAMPLES, 0)
    if change is None:
        raise InputError(f"expected at least {MIN_ITEMS} held-out comments, got {len(full)}; use a larger data set")
    return {
        "f1": round(compute_scores(np.concatenate(measurement.paths)).f1, 4),
        "f1_full": round(compute_scores(full).f1, 4),
        "f1 by fold": [round(compute_scores(counts).f1, 4) for counts in measurement.paths],
        "f1_full by fold": [round(compute_scores(counts).f1, 4) for counts in measurement.full],
        "f1_full less the first way's": {key: round(value, 4) for key, value in asdict(change).items()},
        "seconds": round(float(np.mean(measurement.seconds)), 1),
    }


def main() -> None:
    """Measure the methods on each folder and write the result."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        raise InputError("expected at least one folder; run python -m benchmarks.svm_emotions data/prepared/comments")
    result: Row = {"command": " ".join(["python -m benchmarks.svm_emotions", *sys.argv[1:]])}
    for folder in folders:
        comments = read_subset(folder, TRAIN)
        result[folder.name] = {"comments": len(comments), **measure_methods(comments)}
    date = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/svm-emotions-cpu{os.cpu_count()}-{date}.json")
    write_json(out, result)
    print(out.read_text(), out)


if __name__ == "__main__":
    run(main)
