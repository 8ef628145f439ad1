"""Linear support vector machines on TF-IDF, one for each label against the rest (Joachims, 1998)."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alloy.baseline.settings import Svm
from alloy.core.text import lower_text
from alloy.formats.taxonomy import LabelPath

Margins = npt.NDArray[np.float32]  # (rows, labels)
LabelMatrix = npt.NDArray[np.bool_]  # (rows, labels): whether a row has a label


class OneVsRestSvm:
    """TF-IDF over words and pairs of words, and a linear machine for each label, such as a path."""

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

    def fit(self, texts: list[str], labels: LabelMatrix, note: str) -> "OneVsRestSvm":
        """Learn from the texts and the labels that each has; a bar called `note` shows how far it is."""
        features = self.vectorizer.fit_transform(texts)
        self.weights, self.offsets = fit_machines(features, labels, self.svm.c, note)
        return self

    def margins(self, texts: list[str]) -> Margins:
        """Return how far each text is on each label's side."""
        return self.vectorizer.transform(texts) @ self.weights + self.offsets


class EmotionSvm:
    """A linear machine for each emotion, that tells it by the words of a text and by the path of a segment in it.

    Features of (text, path), by Daumé, Frustratingly Easy Domain Adaptation, 2007, with the paths as its domains:

    1. The TF-IDF of the text: what a word says of the emotion, whatever the path.
    2. A column for each path: which emotion is frequent there.
    3. The TF-IDF of the text once more, in columns that only this path has: what a word says of the emotion there.
       Columns with fewer than two training rows are left out, as words are.

    Example: "small" with the path Portion has a value in the columns small, Portion and (Portion, small). With the path
    Place it has one in (Place, small) instead, so that a small place may be praised and a small portion not.
    """

    def __init__(self, svm: Svm, vectorizer: Any, paths: Sequence[LabelPath]) -> None:  # noqa: ANN401 (scikit-learn's)
        """`vectorizer` is a fitted one; `paths` are all that texts can have."""
        self.svm = svm
        self.vectorizer = vectorizer
        self.numbers = {path: number for number, path in enumerate(paths)}

    def fit(
        self, texts: list[str], paths: list[LabelPath], emotions: Sequence[str | None], note: str = "emotions"
    ) -> "EmotionSvm":
        """Learn from rows of a text, the path of a segment in it, and its emotion; None is one like any other."""
        self.emotions = sorted(set(emotions), key=lambda emotion: emotion or "")
        words, own = self.vectorizer.transform(texts), self._path_numbers(paths)
        columns, rows = np.unique(self._crossed(words, own).indices, return_counts=True)
        self.columns = columns[rows > 1]
        labels = np.array([[emotion == other for other in self.emotions] for emotion in emotions], np.bool_)
        self.weights, self.offsets = fit_machines(self._features(words, own), labels, self.svm.c, note)
        return self

    def predict(self, texts: list[str], paths: list[LabelPath]) -> list[str | None]:
        """Return the emotion of each row of a text and a path: the one with the largest margin."""
        if not texts:
            return []
        features = self._features(self.vectorizer.transform(texts), self._path_numbers(paths))
        margins = features @ self.weights + self.offsets
        return [self.emotions[number] for number in margins.argmax(axis=1)]

    def _path_numbers(self, paths: list[LabelPath]) -> npt.NDArray[np.int64]:
        return np.array([self.numbers[path] for path in paths], np.int64)

    def _crossed(self, words: Any, own: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 (a sparse matrix, as SciPy's)
        """Return a row's words in the columns of its path: word w of path p is in column p * (number of words) + w."""
        from scipy.sparse import csr_matrix

        width = words.shape[1]
        columns = words.indices.astype(np.int64) + np.repeat(own * width, np.diff(words.indptr))
        return csr_matrix((words.data, columns, words.indptr), (words.shape[0], width * len(self.numbers)))

    def _features(self, words: Any, own: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return the features of rows, of their words and the numbers of their paths."""
        from scipy.sparse import csr_matrix, hstack

        count = len(own)
        path = csr_matrix((np.ones(count, np.float32), own, np.arange(count + 1)), (count, len(self.numbers)))
        crossed = self._crossed(words, own)
        place = np.searchsorted(self.columns, crossed.indices)
        known = place < len(self.columns)
        known[known] = self.columns[place[known]] == crossed.indices[known]
        ends = np.concatenate([[0], np.cumsum(known)])[crossed.indptr]
        kept = csr_matrix((crossed.data[known], place[known], ends), (count, len(self.columns)))
        return hstack([words, path, kept], format="csr")


def fit_machines(features: Any, labels: LabelMatrix, c: float, note: str) -> tuple[Margins, npt.NDArray[np.float32]]:  # noqa: ANN401
    """Return the weights (features, labels) and offsets (labels) of one machine a label, each against the rest."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    # Processes: liblinear's random numbers are one stream a process, so that threads would disturb one another.
    work = Parallel(n_jobs=os.cpu_count(), return_as="generator")
    jobs = (delayed(_machine)(features, column, c) for column in labels.T)
    machines = tqdm(work(jobs), note, labels.shape[1], unit="label", disable=None)
    weights, offsets = zip(*machines, strict=True)
    return np.stack(weights, axis=1), np.array(offsets, np.float32)


def _machine(features: Any, wanted: npt.NDArray[np.bool_], c: float) -> tuple[npt.NDArray[np.float32], float]:  # noqa: ANN401
    """Return weights and offset that tell the `wanted` rows of `features` from the rest."""
    from sklearn.svm import LinearSVC

    if wanted.all() or not wanted.any():  # nothing to tell apart
        return np.zeros(features.shape[1], np.float32), float(wanted.all()) * 2 - 1
    machine: Any = LinearSVC(C=c, random_state=0).fit(features, wanted)
    return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])


def choose(margins: Margins, threshold: float) -> LabelMatrix:
    """Return the labels of each row: all above `threshold`, and the one with the largest margin."""
    return (margins >= threshold) | (margins >= margins.max(axis=1, keepdims=True))


def best_threshold(margins: Margins, labels: LabelMatrix) -> float:
    """Return the threshold with the best micro F1 of labels; infinite where one label a row is best."""
    found = {}
    for threshold in (*np.linspace(-1.0, 1.0, 41), np.inf):
        chosen = choose(margins, threshold)
        found[float(threshold)] = 2 * (chosen & labels).sum() / (chosen.sum() + labels.sum())
    return max(found, key=lambda threshold: (found[threshold], threshold))
