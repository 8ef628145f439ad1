"""Inconsistent labels in comments that are all valid: they limit the F1 that a model can reach."""

from collections import defaultdict

import numpy as np
import orjson

from alloy.core.files import Row
from alloy.formats.taxonomy import SEPARATOR
from alloy.splitting.validate import CheckedComments

MAX_SHOWN_IDS = 4  # ids of comments that a warning names


def find_contradictions(comments: CheckedComments) -> list[Row]:
    """Return the texts whose copies have different labels, those with the most copies first.

    Each is `{"text", "comments", "labels": [{"labels", "ids"}]}`: `text` as the first copy has it, the number of
    copies, and each set of labels (one path per segment, its emotion in brackets) with the ids of its comments.

    1. Sort the comments by the hash of their folded text, then by the hash of their labels.
    2. A text is contradictory if its first and last hash of labels differ.
    3. Parse the rows of these texts only.
    """
    keys, labels = comments.table["key"], comments.table["labels"]
    order = np.lexsort((labels, keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order][:1] + np.uint64(1)))
    ends = np.append(starts[1:], len(order)) if len(order) else starts
    found = [
        _describe_contradiction(comments, sorted(order[start:end].tolist()))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        if labels[order[start]] != labels[order[end - 1]]
    ]
    return sorted(found, key=lambda contradiction: -contradiction["comments"])


def _describe_contradiction(comments: CheckedComments, copies: list[int]) -> Row:
    """Return the entry for the copies of a text, which are indices of comments."""
    rows = [orjson.loads(comments.rows[index]) for index in copies]
    ids: dict[int, list[str]] = defaultdict(list)
    labels: dict[int, list[str]] = {}
    for index, row in zip(copies, rows, strict=True):
        key = int(comments.table["labels"][index])
        ids[key].append(row["id"])
        labels.setdefault(key, sorted(map(_format_labels, row["segments"])))
    label_sets = [{"labels": labels[key], "ids": ids[key]} for key in ids]
    return {"text": rows[0]["text"], "comments": len(copies), "labels": label_sets}


def _format_labels(segment: Row) -> str:
    path = SEPARATOR.join(value for key, value in segment.items() if key not in ("content", "emotion"))
    return f"{path} [{segment['emotion']}]" if "emotion" in segment else path


def describe_label_problems(comments: CheckedComments) -> list[str]:
    """Return warnings about valid labels that are probably wrong, other than contradictions."""
    warnings = []
    if unquoted := int((~comments.table["quoted"]).sum()):
        warnings.append(f"{unquoted} comments have a segment whose `content` is not in their text")
    return [*warnings, *_describe_repeats(comments), *describe_emotions(comments)]


def _describe_repeats(comments: CheckedComments) -> list[str]:
    """Return a warning about comments that have the same segment twice, if there are any."""
    indices = np.flatnonzero(comments.table["repeats"]).tolist()
    if not indices:
        return []
    ids = _join_ids([comments.read_id(index) for index in indices[: MAX_SHOWN_IDS + 1]])
    have = "1 comment has" if len(indices) == 1 else f"{len(indices)} comments have"
    return [f"{have} the same segment more than once ({ids}), which counts as often in F1; keep one of them"]


def _join_ids(ids: list[str]) -> str:
    return ", ".join(ids[:MAX_SHOWN_IDS]) + (", ..." if len(ids) > MAX_SHOWN_IDS else "")


def describe_contradictions(contradictions: list[Row], file: object) -> list[str]:
    """Return a warning about contradictions, if there are any; `file` is where they are listed."""
    if not contradictions:
        return []
    copies = sum(contradiction["comments"] for contradiction in contradictions)
    first_ids = [identity for entry in contradictions[0]["labels"] for identity in entry["ids"][:1]]
    ids = _join_ids(first_ids)
    texts = "1 text has" if len(contradictions) == 1 else f"{len(contradictions)} texts have"
    return [
        f"{texts} different labels in {copies} copies (ids {ids}), which limits the F1 that a model can reach; "
        f"see {file}"
    ]


def describe_emotions(comments: CheckedComments) -> list[str]:
    """Return a warning for each group of emotions that differ only in case, with the id of one comment for each."""
    counts = comments.count_emotions()
    spellings: dict[str, list[str]] = defaultdict(list)
    for emotion in sorted(counts):
        spellings[emotion.casefold()].append(emotion)
    return [
        f"emotions {', '.join(_describe_emotion(comments, emotion, counts[emotion]) for emotion in group)} differ only "
        f"in case and count as {len(group)} emotions; write them the same way if they are one"
        for group in spellings.values()
        if len(group) > 1
    ]


def _describe_emotion(comments: CheckedComments, emotion: str, count: int) -> str:
    segments = "1 segment" if count == 1 else f"{count} segments"
    return f"{emotion!r} ({segments}, first in comment {comments.find_emotion(emotion)!r})"
