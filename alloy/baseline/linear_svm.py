"""The rival's machine: TF-IDF and a linear support vector machine for each leaf, against the rest (Joachims, 1998)."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from alloy.baseline.settings import Svm
from alloy.core.text import lower_text

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
            sublinear_tf=True,
            ngram_range=(1, 2),
            min_df=2,
            max_features=50_000,
            preprocessor=lower_text,
            token_pattern=r"\w+",
            dtype=single,
        )

    def fit(self, texts: list[str], held: Held, note: str) -> "LinearRival":
        """Learn from the texts and the leaves that each has; a bar called `note` shows how far it is."""
        from joblib import Parallel, delayed
        from tqdm import tqdm

        features = self.vectorizer.fit_transform(texts)
        # Processes: liblinear's random numbers are one stream a process, so that threads would disturb one another.
        work = Parallel(n_jobs=os.cpu_count(), return_as="generator")
        jobs = (delayed(_machine)(features, column, self.svm.c) for column in held.T)
        machines = tqdm(work(jobs), note, held.shape[1], unit="leaf", disable=None)
        weights, offsets = zip(*machines, strict=True)
        self.weights, self.offsets = np.stack(weights, axis=1), np.array(offsets, np.float32)
        return self

    def margins(self, texts: list[str]) -> Margins:
        """Return how far each text is on each leaf's side."""
        return self.vectorizer.transform(texts) @ self.weights + self.offsets


def _machine(features: Any, wanted: npt.NDArray[np.bool_], c: float) -> tuple[npt.NDArray[np.float32], float]:  # noqa: ANN401
    """Return weights and offset that tell the `wanted` rows of `features` from the rest."""
    from sklearn.svm import LinearSVC

    if wanted.all() or not wanted.any():  # nothing to tell apart
        return np.zeros(features.shape[1], np.float32), float(wanted.all()) * 2 - 1
    machine: Any = LinearSVC(C=c, random_state=0).fit(features, wanted)
    return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])


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
