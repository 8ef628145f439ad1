"""The leaves of the taxonomy that are most similar to a comment, by TF-IDF over character n-grams."""

from typing import Any

import numpy as np

from alloy.core.files import Row
from alloy.core.text import lower_text
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy

BLOCK = 128  # comments that are compared with all texts at a time


class Shortlist:
    """Finds the leaves that are most similar to a comment, in any language.

    1. The texts are the leaves with their descriptions, and the training comments. Each text names one or more leaves.
    2. Texts become TF-IDF vectors over character n-grams of 3 and 4 letters.
    3. The similarity of two texts is the cosine of their vectors.
    4. A leaf is as similar to a comment as the most similar text that names it.
    """

    def __init__(self, taxonomy: Taxonomy, train: list[Row]) -> None:
        """Fit on the leaves with their descriptions, and on the training comments."""
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.leaves = list(taxonomy.leaves)
        leaf_index = {path: index for index, path in enumerate(self.leaves)}
        texts = [f"{' '.join(path)} {description}" for path, description in taxonomy.leaves.items()]
        self.vectorizer: Any = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, preprocessor=lower_text
        )
        self.texts: Any = self.vectorizer.fit_transform([*texts, *(row["text"] for row in train)])
        pairs = [(index, index) for index in range(len(self.leaves))]  # (text, leaf that it names)
        for index, row in enumerate(train, len(self.leaves)):
            pairs += [(index, leaf_index[path]) for path in {s.path for s in parse_comment(row, taxonomy).segments}]
        text, leaf = np.array(pairs).T
        self.named = csr_matrix((np.ones(len(pairs), np.float32), (text, leaf)))  # (texts, leaves)
        self.text_index = {row["id"]: index for index, row in enumerate(train, len(self.leaves))}

    def find_nearest(self, comments: list[Row], count: int) -> list[list[LabelPath]]:
        """Return the `count` most similar leaves of each comment. A training comment is not compared with itself."""
        text, leaf = self.named.nonzero()
        order = np.argsort(leaf, kind="stable")
        text, starts = text[order], np.searchsorted(leaf[order], np.arange(len(self.leaves)))  # each leaf names itself
        nearest = []
        for start in range(0, len(comments), BLOCK):
            block = comments[start : start + BLOCK]
            similarity: Any = self.vectorizer.transform([row["text"] for row in block]) @ self.texts.T
            weights = similarity.toarray().astype(np.float32)  # (comments, texts)
            in_training_data = [
                (number, self.text_index[row["id"]]) for number, row in enumerate(block) if row["id"] in self.text_index
            ]
            weights[[number for number, _ in in_training_data], [text_index for _, text_index in in_training_data]] = (
                0.0
            )
            best = np.maximum.reduceat(weights[:, text], starts, axis=1)
            ranked = np.argsort(-best, axis=1, kind="stable")[:, :count]
            nearest += [[self.leaves[index] for index in row] for row in ranked]
        return nearest
