"""How the SVM should tell emotions: several ways, on training comments held out.

    python -m benchmarks.svm_emotions data/prepared/comments data/mams

Each folder has `comments.jsonl` and `taxonomy.csv`; its test comments, as the stage `split` finds them, are not used.
`dvc repro prepare@comments` makes the demo's; MAMS is made from ../shared/data, by prepare.py in
../shared/cases/real-model.
Three folds of a fifth of the training comments are held out in turn. For each way, the result has `f1` (paths) and
`f1_full` (paths with emotions) by fold and over all held-out comments, the mean seconds of learning and labeling, and
how `f1_full` differs from the chosen way's with its 95 % interval, by paired bootstrap over comments. It goes to
benchmarks/results/svm-emotions-cpu<cores>-<date>.json.

The ways, of which the stage `svm` uses the first (`alloy/baseline/svm_labeler.py`):

- `words, also by path`: paths first, then emotions by the words, the path, and the words in columns of their path.
- `words and path`: the same without the columns by path.
- `one label for both`: each pair of a path and an emotion is a label; all labels above a threshold are given.
- `paths, then one label for both`: the paths of the first way, each with the emotion whose pair has the largest margin.
- `most frequent`: the paths of the first way, each with the emotion that it has most often in training.
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
    emotion_examples,
    learn,
    learn_paths,
)
from alloy.core.files import InputError, Row, write_json
from alloy.core.stage import run
from alloy.core.text import unit_hash
from alloy.formats.comments import Comment, Segment, parse_comment
from alloy.formats.taxonomy import LabelPath, load_taxonomy
from alloy.scoring.bootstrap import Counts, estimate_change, f1
from alloy.scoring.matching import compute_rates, count_full, count_matches
from alloy.splitting.assignment import TRAIN
from alloy.splitting.settings import Split
from stages.split import divide, read_survey

FOLDS, RESAMPLES = 3, 1000
SVM = Svm()
Labeled = list[tuple[Segment, ...]]
Way = Callable[[list[Comment], list[LabelPath], list[str]], Labeled]


class WordsAndPath(EmotionSvm):
    """`EmotionSvm` without the columns of words by path."""

    def _crossed(self, words: Any, own: Any) -> Any:  # noqa: ANN401 (as its parent's)
        from scipy.sparse import csr_matrix

        return csr_matrix((words.shape[0], 0), dtype=words.dtype)


def words_by_path(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` as the stage does."""
    return learn(train, leaves, SVM).label(texts)


def words_and_path(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` without columns of words by path."""
    labeler = _paths_alone(train, leaves)
    emotions = WordsAndPath(SVM, labeler.paths.vectorizer, leaves).fit(*emotion_examples(train))
    return SvmLabeler(leaves, labeler.paths, labeler.threshold, emotions).label(texts)


def one_label(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` by machines for pairs of a path and an emotion."""
    labeler = learn(_joined(train), _pairs(train), SVM)
    return [tuple(Segment(s.path[:-1], emotion=s.path[-1]) for s in own) for own in labeler.label(texts)]


def paths_then_one_label(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` with the paths of `words_by_path`, and the emotion whose pair has the largest margin."""
    pairs = _pairs(train)
    margins = learn_paths(_joined(train), pairs, SVM, "pairs").margins(texts)
    columns: defaultdict[LabelPath, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        columns[pair[:-1]].append(number)

    def best(path: LabelPath, own: Margins) -> Segment:
        return Segment(path, emotion=pairs[max(columns[path], key=lambda number: own[number])][-1])

    labeled = _paths_alone(train, leaves).label(texts)
    return [tuple(best(s.path, own) for s in segments) for segments, own in zip(labeled, margins, strict=True)]


def most_frequent(train: list[Comment], leaves: list[LabelPath], texts: list[str]) -> Labeled:
    """Label `texts` with the paths of `words_by_path`, and the most frequent emotion of each."""
    counted: defaultdict[LabelPath, Counter[str | None]] = defaultdict(Counter)
    for comment in train:
        for segment in comment.segments:
            counted[segment.path][segment.emotion] += 1
    usual = {path: counts.most_common(1)[0][0] for path, counts in counted.items()}
    labeled = _paths_alone(train, leaves).label(texts)
    return [tuple(Segment(s.path, emotion=usual[s.path]) for s in own) for own in labeled]


WAYS: dict[str, Way] = {
    "words, also by path": words_by_path,
    "words and path": words_and_path,
    "one label for both": one_label,
    "paths, then one label for both": paths_then_one_label,
    "most frequent": most_frequent,
}


def _paths_alone(train: list[Comment], leaves: list[LabelPath]) -> SvmLabeler:
    """Return the labeler of paths: `learn` on the comments without their emotions."""
    return learn([c._replace(segments=tuple(s._replace(emotion=None) for s in c.segments)) for c in train], leaves, SVM)


def _joined(comments: list[Comment]) -> list[Comment]:
    """Return the comments with each emotion as one more level of the path."""
    return [
        c._replace(segments=tuple(Segment((*s.path, s.emotion or ""), s.content) for s in c.segments)) for c in comments
    ]


def _pairs(comments: list[Comment]) -> list[LabelPath]:
    return sorted({segment.path for comment in _joined(comments) for segment in comment.segments})


@dataclass
class Measured:
    """What one way did, a fold at a time: counts of paths and of paths with emotions, and seconds."""

    paths: list[Counts]
    full: list[Counts]
    seconds: list[float]


def training_comments(folder: Path) -> list[Comment]:
    """Return the comments of a folder that `split` puts into train."""
    taxonomy = load_taxonomy(folder / "taxonomy.csv")
    survey = read_survey(folder / "comments.jsonl", taxonomy)
    split = Split()
    sides, _ = divide(survey, split.test, split.near)
    rows = (orjson.loads(survey.rows[place]) for place in np.flatnonzero(sides == TRAIN).tolist())
    return [parse_comment(row, taxonomy) for row in rows]


def measure(comments: list[Comment]) -> Row:
    """Return what each way reaches on the folds of `comments`."""
    measured = {name: Measured([], [], []) for name in WAYS}
    for fold in range(FOLDS):
        held = [c for c in comments if fold * HELD_OUT <= unit_hash(f"fold {c.id}") < (fold + 1) * HELD_OUT]
        train = [c for c in comments if not fold * HELD_OUT <= unit_hash(f"fold {c.id}") < (fold + 1) * HELD_OUT]
        leaves = sorted({segment.path for comment in train for segment in comment.segments})
        gold = [comment.segments for comment in held]
        for name, way in WAYS.items():
            start = time.perf_counter()
            labeled = way(train, leaves, [comment.text for comment in held])
            own = measured[name]
            own.seconds.append(time.perf_counter() - start)
            own.full.append(count_full(gold, labeled))
            own.paths.append(count_matches(*([[s.path for s in side] for side in sides] for sides in (gold, labeled))))
            print(
                f"fold {fold}, {name}: {compute_rates(own.paths[-1]).f1:.4f}, {compute_rates(own.full[-1]).f1:.4f}",
                flush=True,
            )
    chosen = np.concatenate(next(iter(measured.values())).full)
    return {name: summary(own, chosen) for name, own in measured.items()}


def summary(own: Measured, chosen: Counts) -> Row:
    """Return the figures of one way; `chosen` are the counts of the way to compare with, of all folds."""
    full = np.concatenate(own.full)
    found = estimate_change(chosen, full, f1, RESAMPLES, 0)
    if found is None:
        raise InputError("too few comments to compare; take a larger data set")
    return {
        "f1": round(compute_rates(np.concatenate(own.paths)).f1, 4),
        "f1_full": round(compute_rates(full).f1, 4),
        "f1 by fold": [round(compute_rates(counts).f1, 4) for counts in own.paths],
        "f1_full by fold": [round(compute_rates(counts).f1, 4) for counts in own.full],
        "f1_full less the first way's": {key: round(value, 4) for key, value in asdict(found).items()},
        "seconds": round(float(np.mean(own.seconds)), 1),
    }


def main() -> None:
    """Measure each folder, write the result."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        raise InputError("no folder given; run python -m benchmarks.svm_emotions data/prepared/comments")
    result: Row = {"command": " ".join(["python -m benchmarks.svm_emotions", *sys.argv[1:]])}
    for folder in folders:
        comments = training_comments(folder)
        result[folder.name] = {"comments": len(comments), **measure(comments)}
    date = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/svm-emotions-cpu{os.cpu_count()}-{date}.json")
    write_json(out, result)
    print(out.read_text(), out)


if __name__ == "__main__":
    run(main)
