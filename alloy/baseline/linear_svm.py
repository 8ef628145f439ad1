"""One-vs-rest linear support vector machines on TF-IDF features.

Source: Joachims, "Text Categorization with Support Vector Machines", 1998.
"""

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
        """`svm.c` is the regularization parameter `C` of scikit-learn's `LinearSVC`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.svm = svm
        dtype: Any = np.float32
        self.vectorizer: Any = TfidfVectorizer(
            sublinear_tf=True,
            ngram_range=(1, 2),
            min_df=2,
            max_features=50_000,
            preprocessor=lower_text,
            token_pattern=r"\w+",
            dtype=dtype,
        )

    def fit(self, texts: list[str], labels: LabelMatrix, desc: str) -> "OneVsRestSvm":
        """Fit on texts and their labels (rows, labels). `desc` is the name of the progress bar."""
        features = self.vectorizer.fit_transform(texts)
        self.weights, self.intercepts = fit_linear_svms(features, labels, self.svm.c, desc)
        return self

    def compute_margins(self, texts: list[str]) -> Margins:
        """Return the decision function (rows, labels) of each text and label: positive if the text has the label."""
        return self.vectorizer.transform(texts) @ self.weights + self.intercepts


class EmotionSvm:
    """One linear SVM per emotion. It predicts the emotion of a segment from the text and the path of the segment.

    The features of a text and a path are:

    1. The TF-IDF of the text: the effect of a word on the emotion for all paths.
    2. One column per path: the most frequent emotions of the path.
    3. The TF-IDF of the text again, in columns of this path only: the effect of a word for this path. Columns with
       fewer than two training rows are left out, like rare words.

    Example: "small" with the path Portion has values in the columns small, Portion and (Portion, small). With the path
    Place it has values in small, Place and (Place, small). So a small place can be praised and a small portion not.

    Source: Daumé, "Frustratingly Easy Domain Adaptation", 2007; each path is a domain.
    """

    def __init__(self, svm: Svm, vectorizer: Any, paths: Sequence[LabelPath]) -> None:  # noqa: ANN401 (scikit-learn's)
        """`vectorizer` is already fitted. `paths` are all possible paths."""
        self.svm = svm
        self.vectorizer = vectorizer
        self.path_indices = {path: index for index, path in enumerate(paths)}

    def fit(
        self, texts: list[str], paths: list[LabelPath], emotions: Sequence[str | None], desc: str = "emotions"
    ) -> "EmotionSvm":
        """Fit on rows of a text, a path of one of its segments, and the emotion. None counts as an emotion."""
        self.emotions = sorted(set(emotions), key=lambda emotion: emotion or "")
        tfidf, indices = self.vectorizer.transform(texts), self._index_paths(paths)
        columns, rows = np.unique(self._cross_with_paths(tfidf, indices).indices, return_counts=True)
        self.columns = columns[rows > 1]
        labels = np.array([[emotion == other for other in self.emotions] for emotion in emotions], np.bool_)
        self.weights, self.intercepts = fit_linear_svms(self._build_features(tfidf, indices), labels, self.svm.c, desc)
        return self

    def predict(self, texts: list[str], paths: list[LabelPath]) -> list[str | None]:
        """Return the emotion of each text and path: the one with the largest margin."""
        if not texts:
            return []
        features = self._build_features(self.vectorizer.transform(texts), self._index_paths(paths))
        margins = features @ self.weights + self.intercepts
        return [self.emotions[index] for index in margins.argmax(axis=1)]

    def _index_paths(self, paths: list[LabelPath]) -> npt.NDArray[np.int64]:
        return np.array([self.path_indices[path] for path in paths], np.int64)

    def _cross_with_paths(self, tfidf: Any, path_indices: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 (a sparse matrix of SciPy)
        """Return each row's TF-IDF in the columns of its path: word w of path p is column p * (number of words) + w."""
        from scipy.sparse import csr_matrix

        width = tfidf.shape[1]
        columns = tfidf.indices.astype(np.int64) + np.repeat(path_indices * width, np.diff(tfidf.indptr))
        return csr_matrix((tfidf.data, columns, tfidf.indptr), (tfidf.shape[0], width * len(self.path_indices)))

    def _build_features(self, tfidf: Any, path_indices: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return the features of rows, from their TF-IDF and the indices of their paths."""
        from scipy.sparse import csr_matrix, hstack

        count = len(path_indices)
        path = csr_matrix(
            (np.ones(count, np.float32), path_indices, np.arange(count + 1)), (count, len(self.path_indices))
        )
        crossed = self._cross_with_paths(tfidf, path_indices)
        column = np.searchsorted(self.columns, crossed.indices)
        known = column < len(self.columns)
        known[known] = self.columns[column[known]] == crossed.indices[known]
        ends = np.concatenate([[0], np.cumsum(known)])[crossed.indptr]
        known_features = csr_matrix((crossed.data[known], column[known], ends), (count, len(self.columns)))
        return hstack([tfidf, path, known_features], format="csr")


def fit_linear_svms(features: Any, labels: LabelMatrix, c: float, desc: str) -> tuple[Margins, npt.NDArray[np.float32]]:  # noqa: ANN401
    """Return the weights (features, labels) and intercepts (labels) of one linear SVM per label."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    # Processes, not threads: liblinear has one random number generator per process, which threads would share.
    parallel = Parallel(n_jobs=os.cpu_count(), return_as="generator")
    jobs = (delayed(_fit_one_label)(features, column, c) for column in labels.T)
    fitted = tqdm(parallel(jobs), desc, labels.shape[1], unit="label", disable=None)
    weights, intercepts = zip(*fitted, strict=True)
    return np.stack(weights, axis=1), np.array(intercepts, np.float32)


def _fit_one_label(features: Any, has_label: npt.NDArray[np.bool_], c: float) -> tuple[npt.NDArray[np.float32], float]:  # noqa: ANN401
    """Return the weights (features,) and the intercept that separate the rows with the label from the others."""
    from sklearn.svm import LinearSVC

    if has_label.all() or not has_label.any():  # only one class
        return np.zeros(features.shape[1], np.float32), float(has_label.all()) * 2 - 1
    classifier: Any = LinearSVC(C=c, random_state=0).fit(features, has_label)
    return classifier.coef_[0].astype(np.float32), float(classifier.intercept_[0])


def choose_labels(margins: Margins, threshold: float) -> LabelMatrix:
    """Return the labels of each row: all with a margin of at least `threshold`, and the one with the largest margin."""
    return (margins >= threshold) | (margins >= margins.max(axis=1, keepdims=True))


def find_best_threshold(margins: Margins, labels: LabelMatrix) -> float:
    """Return the threshold of `choose_labels` with the highest micro F1.

    The candidates are -1.00, -0.95, ..., 1.00 and infinity, with which each row gets only the label with the largest
    margin. If several are equally good, the largest is returned.
    """
    f1 = {}
    for threshold in (*np.linspace(-1.0, 1.0, 41), np.inf):
        chosen = choose_labels(margins, threshold)
        f1[float(threshold)] = 2 * (chosen & labels).sum() / (chosen.sum() + labels.sum())
    return max(f1, key=lambda threshold: (f1[threshold], threshold))
