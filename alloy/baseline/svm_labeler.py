"""The baseline as a whole: it learns from labelled comments, and labels others with paths and emotions."""

from dataclasses import dataclass

import numpy as np

from alloy.baseline.linear_svm import EmotionSvm, LabelMatrix, OneVsRestSvm, best_threshold, choose
from alloy.baseline.settings import Svm
from alloy.core.text import unit_hash
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import LabelPath

HELD_OUT = 0.2


@dataclass(frozen=True)
class SvmLabeler:
    """What was learned: machines for the paths that training has, their threshold, and machines for the emotions.

    `emotions` is None if the training comments have none.
    """

    leaves: list[LabelPath]
    paths: OneVsRestSvm
    threshold: float
    emotions: EmotionSvm | None

    def label(self, texts: list[str]) -> list[tuple[Segment, ...]]:
        """Return the segments of each text: one for each of its paths, in the order of `leaves`, without contents."""
        chosen = choose(self.paths.margins(texts), self.threshold)
        found = [[self.leaves[number] for number in np.flatnonzero(row)] for row in chosen]
        if self.emotions is None:
            return [tuple(Segment(path) for path in paths) for paths in found]
        rows = [(text, path) for text, paths in zip(texts, found, strict=True) for path in paths]
        emotions = iter(self.emotions.predict([text for text, _ in rows], [path for _, path in rows]))
        return [tuple(Segment(path, emotion=next(emotions)) for path in paths) for paths in found]


def learn(comments: list[Comment], leaves: list[LabelPath], svm: Svm) -> SvmLabeler:
    """Return the labeler that training comments teach; `leaves` are the paths that they have.

    1. The threshold is the one with the best F1 of paths on a fifth of the comments, for machines that learned from
       the others.
    2. The machines for paths learn from all comments, and from contents of segments as texts of their own.
    3. The machines for emotions learn from the same texts, one row for each segment.
    """
    aside = [comment for comment in comments if unit_hash(f"svm {comment.id}") < HELD_OUT]
    rest = [comment for comment in comments if unit_hash(f"svm {comment.id}") >= HELD_OUT]
    threshold = np.inf
    if aside and rest:
        margins = learn_paths(rest, leaves, svm, "svm: threshold").margins([comment.text for comment in aside])
        threshold = best_threshold(margins, label_matrix(paths_of(aside), leaves))
    paths = learn_paths(comments, leaves, svm, "svm: paths")
    return SvmLabeler(leaves, paths, threshold, learn_emotions(comments, leaves, svm, paths))


def learn_paths(comments: list[Comment], leaves: list[LabelPath], svm: Svm, note: str) -> OneVsRestSvm:
    """Return the machines that tell the paths of a text; a bar called `note` shows how far it is."""
    texts, paths = path_examples(comments)
    return OneVsRestSvm(svm).fit(texts, label_matrix(paths, leaves), note)


def learn_emotions(
    comments: list[Comment], leaves: list[LabelPath], svm: Svm, paths: OneVsRestSvm
) -> EmotionSvm | None:
    """Return the machines that tell the emotion of a path in a text, or None if no comment has emotions."""
    texts, own, emotions = emotion_examples(comments)
    if not any(emotions):
        return None
    return EmotionSvm(svm, paths.vectorizer, leaves).fit(texts, own, emotions, "svm: emotions")


def path_examples(comments: list[Comment]) -> tuple[list[str], list[set[LabelPath]]]:
    """Return texts and the paths of each: of every comment, and of every segment that has a content of its own."""
    parts = own_contents(comments)
    texts = [comment.text for comment in comments]
    return [*texts, *(str(part.content) for part in parts)], [*paths_of(comments), *({part.path} for part in parts)]


def emotion_examples(comments: list[Comment]) -> tuple[list[str], list[LabelPath], list[str | None]]:
    """Return rows of (text, path, emotion), one for each segment: its comment's text, then contents of their own."""
    whole = [(comment.text, *segment.path_and_emotion) for comment in comments for segment in comment.segments]
    rows = [*whole, *((str(part.content), *part.path_and_emotion) for part in own_contents(comments))]
    return [text for text, _, _ in rows], [path for _, path, _ in rows], [emotion for _, _, emotion in rows]


def own_contents(comments: list[Comment]) -> list[Segment]:
    """Return the segments whose content is there and is not their whole comment."""
    return [s for comment in comments for s in comment.segments if s.content and s.content != comment.text]


def paths_of(comments: list[Comment]) -> list[set[LabelPath]]:
    """Return the paths of each comment."""
    return [{segment.path for segment in comment.segments} for comment in comments]


def label_matrix(paths: list[set[LabelPath]], leaves: list[LabelPath]) -> LabelMatrix:
    """Return which of the `leaves` each comment has."""
    number = {leaf: place for place, leaf in enumerate(leaves)}
    matrix = np.zeros((len(paths), len(leaves)), np.bool_)
    for place, own in enumerate(paths):
        matrix[place, [number[leaf] for leaf in own]] = True
    return matrix
