"""What went wrong with each comment, in kinds that a person can act on."""

from collections import Counter

from alloy.core.files import Row
from alloy.core.text import unit_hash
from alloy.formats.taxonomy import LabelPath

KINDS = {
    "invalid": "The answer is not a JSON list of segments",
    "cut": "The answer was cut at the token limit",
    "context": "The comment does not fit the model's context",
    "missed": "All predicted labels are right, but some are missing",
    "extra": "All labels are found, and there are extra ones",
    "leaf": "The right branch, but the wrong leaf",
    "branch": "At least one label from another branch",
}


ENDS = {"length": "cut", "context": "context"}  # kinds of answers that are not valid, by how they ended


def kind_of(gold: list[LabelPath], found: list[LabelPath], *, valid: bool) -> str | None:
    """Return the kind of mistake in a comment's labels, a key of `KINDS`, or None where all is right.

    Order does not matter. Where labels were confused, `leaf` is said if every one that is wrong has its parent among
    those that were missed.
    """
    missed, wrong = Counter(gold) - Counter(found), Counter(found) - Counter(gold)
    if not valid:
        return "invalid"
    if not wrong:
        return "missed" if missed else None
    if not missed:
        return "extra"
    parents = Counter(path[:-1] for path in missed.elements())
    return "branch" if Counter(path[:-1] for path in wrong.elements()) - parents else "leaf"


def mistakes(gold: list[Row], predictions: list[Row], levels: list[str], each: int) -> list[Row]:
    """Return `{kind, title, count, examples}` a kind of mistake that occurs, the most frequent first.

    Up to `each` examples `{text, gold, predicted, raw}` are drawn by the hash of the comment's id: not chosen by
    anyone, and the same for every model that makes the mistake. Labels are `{path, content?, right}`.
    """
    found: dict[str, list[tuple[Row, Row]]] = {}
    for row, prediction in zip(gold, predictions, strict=False):
        sides = [[tuple(part[level] for level in levels) for part in side["segments"]] for side in (row, prediction)]
        kind = kind_of(*sides, valid=prediction["valid"])
        if kind == "invalid":
            kind = ENDS.get(prediction.get("finish", ""), kind)
        if kind:
            found.setdefault(kind, []).append((row, prediction))
    result = []
    for kind, pairs in sorted(found.items(), key=lambda item: -len(item[1])):
        drawn = sorted(pairs, key=lambda pair: unit_hash(pair[0]["id"]))[:each]
        examples = [_example(row, prediction, levels) for row, prediction in drawn]
        result.append({"kind": kind, "title": KINDS[kind], "count": len(pairs), "examples": examples})
    return result


def _example(row: Row, prediction: Row, levels: list[str]) -> Row:
    return {
        "text": row["text"],
        "gold": _marked(row["segments"], prediction["segments"], levels),
        "predicted": _marked(prediction["segments"], row["segments"], levels),
        "raw": prediction["raw"],
    }


def _marked(segments: list[Row], others: list[Row], levels: list[str]) -> list[Row]:
    """Return the labels of one side; each is `right` as often as the other side has it."""
    left = Counter(tuple(part[level] for level in levels) for part in others)
    marked = []
    for part in segments:
        path = tuple(part[level] for level in levels)
        marked.append({"path": path, "content": part.get("content"), "right": left[path] > 0})
        left[path] -= 1
    return marked
