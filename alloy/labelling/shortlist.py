"""The leaves of the taxonomy that a comment is most like, by the words of earlier comments and of the leaf itself."""

from typing import Any

import numpy as np

from alloy.core.files import Row
from alloy.core.text import lower_text
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy

BLOCK = 128  # comments that are compared with all texts at a time


class Shortlist:
    """TF-IDF over parts of words, which needs no language: a leaf is as near as the nearest text that names it."""

    def __init__(self, taxonomy: Taxonomy, train: list[Row]) -> None:
        """Learn from the leaves, with their descriptions, and from the training comments."""
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.leaves = list(taxonomy.leaves)
        number = {path: place for place, path in enumerate(self.leaves)}
        texts = [f"{' '.join(path)} {description}" for path, description in taxonomy.leaves.items()]
        self.vectorizer: Any = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, preprocessor=lower_text
        )
        self.texts: Any = self.vectorizer.fit_transform([*texts, *(row["text"] for row in train)])
        names = [(place, place) for place in range(len(self.leaves))]
        for place, row in enumerate(train, len(self.leaves)):
            names += [(place, number[path]) for path in {s.path for s in parse_comment(row, taxonomy).segments}]
        text, leaf = np.array(names).T
        self.named = csr_matrix((np.ones(len(names), np.float32), (text, leaf)))  # (texts, leaves)
        self.place = {row["id"]: place for place, row in enumerate(train, len(self.leaves))}

    def nearest(self, comments: list[Row], count: int) -> list[list[LabelPath]]:
        """Return the `count` nearest leaves of each comment; a training comment is no text of its own."""
        text, leaf = self.named.nonzero()
        order = np.argsort(leaf, kind="stable")
        text, starts = text[order], np.searchsorted(leaf[order], np.arange(len(self.leaves)))  # each leaf names itself
        found = []
        for start in range(0, len(comments), BLOCK):
            block = comments[start : start + BLOCK]
            likeness: Any = self.vectorizer.transform([row["text"] for row in block]) @ self.texts.T
            weights = likeness.toarray().astype(np.float32)  # (comments, texts)
            own = [(place, self.place[row["id"]]) for place, row in enumerate(block) if row["id"] in self.place]
            weights[[place for place, _ in own], [place for _, place in own]] = 0.0
            best = np.maximum.reduceat(weights[:, text], starts, axis=1)
            ranked = np.argsort(-best, axis=1, kind="stable")[:, :count]
            found += [[self.leaves[place] for place in row] for row in ranked]
        return found
