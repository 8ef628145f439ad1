"""The leaves of the taxonomy that a comment is most like, by the words of earlier comments and of the leaf itself."""

from typing import Any

import numpy as np

from stages.comments import parse_comment
from stages.records import Row
from stages.taxonomy import LabelPath, Taxonomy


class Shortlist:
    """TF-IDF over parts of words, which needs no language: a leaf is as near as the nearest text that names it."""

    def __init__(self, taxonomy: Taxonomy, train: list[Row]) -> None:
        """Learn from the leaves, with their descriptions, and from the training comments."""
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.leaves = list(taxonomy.leaves)
        number = {path: place for place, path in enumerate(self.leaves)}
        texts = [f"{' '.join(path)} {description}" for path, description in taxonomy.leaves.items()]
        self.vectorizer: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
        self.texts: Any = self.vectorizer.fit_transform([*texts, *(row["text"] for row in train)])
        names = [(place, place) for place in range(len(self.leaves))]
        for place, row in enumerate(train, len(self.leaves)):
            names += [(place, number[path]) for path in {s.path for s in parse_comment(row, taxonomy).segments}]
        text, leaf = np.array(names).T
        self.named = csr_matrix((np.ones(len(names), np.float32), (text, leaf)))  # (texts, leaves)
        self.place = {row["id"]: place for place, row in enumerate(train, len(self.leaves))}

    def nearest(self, comments: list[Row], count: int) -> list[list[LabelPath]]:
        """Return the `count` nearest leaves of each comment; a training comment is no text of its own."""
        likeness: Any = (self.vectorizer.transform([row["text"] for row in comments]) @ self.texts.T).tocsr()
        found = []
        for row, near in zip(comments, likeness, strict=True):
            weights = near.toarray()[0]
            if row["id"] in self.place:
                weights[self.place[row["id"]]] = 0.0
            best = np.zeros(len(self.leaves), np.float32)
            text, leaf = self.named.nonzero()
            np.maximum.at(best, leaf, weights[text])
            found.append([self.leaves[place] for place in np.argsort(-best, kind="stable")[:count]])
        return found
