"""Error analysis: the kind of mistake in each comment, and examples of each kind."""

from collections import Counter

from alloy.core.files import Row
from alloy.core.text import hash_to_unit_interval
from alloy.formats.taxonomy import LabelPath

KINDS = {
    "invalid": "The answer is not a JSON list of segments",
    "cut": "The answer was cut at the token limit",
    "context": "The comment is longer than the model's context",
    "missed": "All predicted labels are right, but some are missing",
    "extra": "All labels are found, and there are extra ones",
    "leaf": "The right branch, but the wrong leaf",
    "branch": "At least one label from another branch",
}


KIND_BY_FINISH = {"length": "cut", "context": "context"}  # kinds of invalid answers by `finish`; others are `invalid`


def classify_mistake(gold: list[LabelPath], predicted: list[LabelPath], *, valid: bool) -> str | None:
    """Return the kind of mistake in a comment's labels, a key of `KINDS`; None if all labels are right, in any order.

    Algorithm:

    1. missed = gold minus predicted, wrong = predicted minus gold, both as multisets.
    2. Only missed: "missed". Only wrong: "extra".
    3. Both: "leaf" if each wrong label can be paired with a missed label of the same parent, else "branch".

    Example: gold is food > taste, predicted food > price: "leaf". Predicted staff > speed: "branch".
    """
    missed, wrong = Counter(gold) - Counter(predicted), Counter(predicted) - Counter(gold)
    if not valid:
        return "invalid"
    if not wrong:
        return "missed" if missed else None
    if not missed:
        return "extra"
    parents = Counter(path[:-1] for path in missed.elements())
    return "branch" if Counter(path[:-1] for path in wrong.elements()) - parents else "leaf"


def list_mistakes(gold: list[Row], predictions: list[Row], levels: list[str], max_examples: int) -> list[Row]:
    """Return `{kind, title, count, examples}` per kind of mistake that occurs, the most frequent first.

    Of each kind, `max_examples` examples `{text, gold, predicted, raw}` are drawn by the hash of the comment's id. So
    they are not chosen by hand, and models with the same mistakes show the same comments. Labels are
    `{path, content?, right}`.
    """
    by_kind: dict[str, list[tuple[Row, Row]]] = {}
    for row, prediction in zip(gold, predictions, strict=False):
        gold_and_predicted = [
            [tuple(segment[level] for level in levels) for segment in labeled["segments"]]
            for labeled in (row, prediction)
        ]
        kind = classify_mistake(*gold_and_predicted, valid=prediction["valid"])
        if kind == "invalid":
            kind = KIND_BY_FINISH.get(prediction.get("finish", ""), kind)
        if kind:
            by_kind.setdefault(kind, []).append((row, prediction))
    result = []
    for kind, pairs in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        drawn = sorted(pairs, key=lambda pair: hash_to_unit_interval(pair[0]["id"]))[:max_examples]
        examples = [_make_example(row, prediction, levels) for row, prediction in drawn]
        result.append({"kind": kind, "title": KINDS[kind], "count": len(pairs), "examples": examples})
    return result


def _make_example(row: Row, prediction: Row, levels: list[str]) -> Row:
    return {
        "text": row["text"],
        "gold": _mark_segments(row["segments"], prediction["segments"], levels),
        "predicted": _mark_segments(prediction["segments"], row["segments"], levels),
        "raw": prediction["raw"],
    }


def _mark_segments(segments: list[Row], other_segments: list[Row], levels: list[str]) -> list[Row]:
    """Return the labels of `segments`; `right`: it matches a label in `other_segments`, each of which matches once."""
    unmatched = Counter(tuple(segment[level] for level in levels) for segment in other_segments)
    marked = []
    for segment in segments:
        path = tuple(segment[level] for level in levels)
        marked.append({"path": path, "content": segment.get("content"), "right": unmatched[path] > 0})
        unmatched[path] -= 1
    return marked
