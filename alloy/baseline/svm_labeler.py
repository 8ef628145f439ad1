"""Train the SVM baseline on labeled comments, and label other comments with paths and emotions."""

from dataclasses import dataclass

import numpy as np

from alloy.baseline.linear_svm import EmotionSvm, LabelMatrix, OneVsRestSvm, choose_labels, find_best_threshold
from alloy.baseline.settings import Svm
from alloy.core.text import hash_to_unit_interval
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import LabelPath

HELD_OUT = 0.2  # share of the comments on which the threshold is chosen


@dataclass(frozen=True)
class SvmLabeler:
    """The trained baseline.

    - `leaves`: the paths of the training comments
    - `paths`: the SVMs of the paths
    - `threshold`: a text has the paths with at least this margin, and always the one with the largest margin
    - `emotions`: the SVMs of the emotions; None if the training comments have no emotions
    """

    leaves: list[LabelPath]
    paths: OneVsRestSvm
    threshold: float
    emotions: EmotionSvm | None

    def label_texts(self, texts: list[str]) -> list[tuple[Segment, ...]]:
        """Return the segments of each text: one per path, in the order of `leaves`, without `content`."""
        chosen = choose_labels(self.paths.compute_margins(texts), self.threshold)
        predicted = [[self.leaves[number] for number in np.flatnonzero(row)] for row in chosen]
        if self.emotions is None:
            return [tuple(Segment(path) for path in paths) for paths in predicted]
        rows = [(text, path) for text, paths in zip(texts, predicted, strict=True) for path in paths]
        emotions = iter(self.emotions.predict([text for text, _ in rows], [path for _, path in rows]))
        return [tuple(Segment(path, emotion=next(emotions)) for path in paths) for paths in predicted]


def train_labeler(comments: list[Comment], leaves: list[LabelPath], svm: Svm) -> SvmLabeler:
    """Train the baseline on comments; `leaves` are their paths.

    1. Train path SVMs on four fifths of the comments. Choose the threshold with the highest F1 of paths on the rest.
    2. Train the path SVMs again on all comments. In both steps, the contents of segments are additional texts.
    3. Train the emotion SVMs on the same texts, with one row per segment.
    """
    held_out = [comment for comment in comments if hash_to_unit_interval(f"svm {comment.id}") < HELD_OUT]
    rest = [comment for comment in comments if hash_to_unit_interval(f"svm {comment.id}") >= HELD_OUT]
    threshold = np.inf
    if held_out and rest:
        margins = train_path_svm(rest, leaves, svm, "svm: threshold").compute_margins(
            [comment.text for comment in held_out]
        )
        threshold = find_best_threshold(margins, build_label_matrix(collect_paths(held_out), leaves))
    paths = train_path_svm(comments, leaves, svm, "svm: paths")
    return SvmLabeler(leaves, paths, threshold, train_emotion_svm(comments, leaves, svm, paths))


def train_path_svm(comments: list[Comment], leaves: list[LabelPath], svm: Svm, desc: str) -> OneVsRestSvm:
    """Train the SVMs that predict the paths of a text. `desc` is the name of the progress bar."""
    texts, paths = build_path_examples(comments)
    return OneVsRestSvm(svm).fit(texts, build_label_matrix(paths, leaves), desc)


def train_emotion_svm(
    comments: list[Comment], leaves: list[LabelPath], svm: Svm, paths: OneVsRestSvm
) -> EmotionSvm | None:
    """Train the SVMs that predict the emotion of a path in a text; return None if no comment has emotions."""
    texts, segment_paths, emotions = build_emotion_examples(comments)
    if not any(emotions):
        return None
    return EmotionSvm(svm, paths.vectorizer, leaves).fit(texts, segment_paths, emotions, "svm: emotions")


def build_path_examples(comments: list[Comment]) -> tuple[list[str], list[set[LabelPath]]]:
    """Return texts and the paths of each: all comments, and all contents that are a part of their comment."""
    parts = list_partial_segments(comments)
    texts = [comment.text for comment in comments]
    return [*texts, *(str(part.content) for part in parts)], [
        *collect_paths(comments),
        *({part.path} for part in parts),
    ]


def build_emotion_examples(comments: list[Comment]) -> tuple[list[str], list[LabelPath], list[str | None]]:
    """Return texts, paths and emotions, one per segment: with the text of its comment, then with its content.

    Contents that are the whole comment are left out.
    """
    whole = [(comment.text, *segment.path_and_emotion) for comment in comments for segment in comment.segments]
    rows = [*whole, *((str(part.content), *part.path_and_emotion) for part in list_partial_segments(comments))]
    return [text for text, _, _ in rows], [path for _, path, _ in rows], [emotion for _, _, emotion in rows]


def list_partial_segments(comments: list[Comment]) -> list[Segment]:
    """Return the segments whose content is only a part of their comment."""
    return [s for comment in comments for s in comment.segments if s.content and s.content != comment.text]


def collect_paths(comments: list[Comment]) -> list[set[LabelPath]]:
    """Return the paths of each comment."""
    return [{segment.path for segment in comment.segments} for comment in comments]


def build_label_matrix(paths: list[set[LabelPath]], leaves: list[LabelPath]) -> LabelMatrix:
    """Return a matrix (comments, leaves): True if a comment has a leaf."""
    column = {leaf: index for index, leaf in enumerate(leaves)}
    matrix = np.zeros((len(paths), len(leaves)), np.bool_)
    for row, row_paths in enumerate(paths):
        matrix[row, [column[leaf] for leaf in row_paths]] = True
    return matrix
