"""Linear support vector machines on TF-IDF features, one label against the rest (Joachims, 1998)."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alloy.baseline.settings import Svm
from alloy.core.text import lower_text
from alloy.formats.taxonomy import LabelPath

Margins = npt.NDArray[np.float32]  # (rows, labels)
LabelMatrix = npt.NDArray[np.bool_]  # (rows, labels): True if a row has a label


class OneVsRestSvm:
    """TF-IDF features of words and word pairs, and one linear SVM per label. Labels may be paths."""

    def __init__(self, svm: Svm) -> None:
        """`svm.c` is the weight of an error."""
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
        """Fit on texts and their labels. `note` is the name of the progress bar."""
        features = self.vectorizer.fit_transform(texts)
        self.weights, self.offsets = fit_linear_svms(features, labels, self.svm.c, note)
        return self

    def compute_margins(self, texts: list[str]) -> Margins:
        """Return the signed distance of each text from the boundary of each label; positive means the label."""
        return self.vectorizer.transform(texts) @ self.weights + self.offsets


class EmotionSvm:
    """One linear SVM per emotion. It predicts the emotion of a segment from the text and the path of the segment.

    Features of (text, path), by Daumé, Frustratingly Easy Domain Adaptation, 2007, where each path is a domain:

    1. The TF-IDF of the text: the effect of a word on the emotion for all paths.
    2. One column per path: the most frequent emotions of the path.
    3. The TF-IDF of the text again, in columns of this path only: the effect of a word for this path. Columns with
       fewer than two training rows are left out, like rare words.

    Example: "small" with the path Portion has values in the columns small, Portion and (Portion, small). With the path
    Place it has values in small, Place and (Place, small). So a small place can be praised and a small portion not.
    """

    def __init__(self, svm: Svm, vectorizer: Any, paths: Sequence[LabelPath]) -> None:  # noqa: ANN401 (scikit-learn's)
        """`vectorizer` is already fitted. `paths` are all possible paths."""
        self.svm = svm
        self.vectorizer = vectorizer
        self.path_numbers = {path: number for number, path in enumerate(paths)}

    def fit(
        self, texts: list[str], paths: list[LabelPath], emotions: Sequence[str | None], note: str = "emotions"
    ) -> "EmotionSvm":
        """Fit on rows of a text, a path of one of its segments, and the emotion. None counts as an emotion."""
        self.emotions = sorted(set(emotions), key=lambda emotion: emotion or "")
        words, numbers = self.vectorizer.transform(texts), self._number_paths(paths)
        columns, rows = np.unique(self._cross_with_paths(words, numbers).indices, return_counts=True)
        self.columns = columns[rows > 1]
        labels = np.array([[emotion == other for other in self.emotions] for emotion in emotions], np.bool_)
        self.weights, self.offsets = fit_linear_svms(self._build_features(words, numbers), labels, self.svm.c, note)
        return self

    def predict(self, texts: list[str], paths: list[LabelPath]) -> list[str | None]:
        """Return the emotion of each text and path: the one with the largest margin."""
        if not texts:
            return []
        features = self._build_features(self.vectorizer.transform(texts), self._number_paths(paths))
        margins = features @ self.weights + self.offsets
        return [self.emotions[number] for number in margins.argmax(axis=1)]

    def _number_paths(self, paths: list[LabelPath]) -> npt.NDArray[np.int64]:
        return np.array([self.path_numbers[path] for path in paths], np.int64)

    def _cross_with_paths(self, words: Any, path_numbers: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 (a sparse matrix of SciPy)
        """Return each row's words in the columns of its path: word w of path p is column p * (number of words) + w."""
        from scipy.sparse import csr_matrix

        width = words.shape[1]
        columns = words.indices.astype(np.int64) + np.repeat(path_numbers * width, np.diff(words.indptr))
        return csr_matrix((words.data, columns, words.indptr), (words.shape[0], width * len(self.path_numbers)))

    def _build_features(self, words: Any, path_numbers: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return the features of rows, from the TF-IDF of their words and the numbers of their paths."""
        from scipy.sparse import csr_matrix, hstack

        count = len(path_numbers)
        path = csr_matrix(
            (np.ones(count, np.float32), path_numbers, np.arange(count + 1)), (count, len(self.path_numbers))
        )
        crossed = self._cross_with_paths(words, path_numbers)
        column = np.searchsorted(self.columns, crossed.indices)
        known = column < len(self.columns)
        known[known] = self.columns[column[known]] == crossed.indices[known]
        ends = np.concatenate([[0], np.cumsum(known)])[crossed.indptr]
        known_features = csr_matrix((crossed.data[known], column[known], ends), (count, len(self.columns)))
        return hstack([words, path, known_features], format="csr")


def fit_linear_svms(features: Any, labels: LabelMatrix, c: float, note: str) -> tuple[Margins, npt.NDArray[np.float32]]:  # noqa: ANN401
    """Return the weights (features, labels) and offsets (labels) of one linear SVM per label."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    # Processes, not threads: liblinear has one random number generator per process, which threads would share.
    work = Parallel(n_jobs=os.cpu_count(), return_as="generator")
    jobs = (delayed(_fit_one_label)(features, column, c) for column in labels.T)
    fitted = tqdm(work(jobs), note, labels.shape[1], unit="label", disable=None)
    weights, offsets = zip(*fitted, strict=True)
    return np.stack(weights, axis=1), np.array(offsets, np.float32)


def _fit_one_label(features: Any, has_label: npt.NDArray[np.bool_], c: float) -> tuple[npt.NDArray[np.float32], float]:  # noqa: ANN401
    """Return weights and offset that separate the rows with the label from the rest."""
    from sklearn.svm import LinearSVC

    if has_label.all() or not has_label.any():  # only one class
        return np.zeros(features.shape[1], np.float32), float(has_label.all()) * 2 - 1
    machine: Any = LinearSVC(C=c, random_state=0).fit(features, has_label)
    return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])


def choose_labels(margins: Margins, threshold: float) -> LabelMatrix:
    """Return the labels of each row: all with a margin of at least `threshold`, and the one with the largest margin."""
    return (margins >= threshold) | (margins >= margins.max(axis=1, keepdims=True))


def find_best_threshold(margins: Margins, labels: LabelMatrix) -> float:
    """Return the threshold with the best micro F1 of labels. It is infinite if one label per row is best."""
    f1 = {}
    for threshold in (*np.linspace(-1.0, 1.0, 41), np.inf):
        chosen = choose_labels(margins, threshold)
        f1[float(threshold)] = 2 * (chosen & labels).sum() / (chosen.sum() + labels.sum())
    return max(f1, key=lambda threshold: (f1[threshold], threshold))
