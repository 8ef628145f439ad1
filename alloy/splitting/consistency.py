"""What is inconsistent in labelled comments although every row is valid: it limits the F1 that a model can reach."""

from collections import Counter, defaultdict

import numpy as np
import orjson

from alloy.core.files import Row
from alloy.formats.taxonomy import SEPARATOR
from alloy.splitting.validate import Survey

SHOWN = 4  # ids of contradictory copies that are named on the terminal


def find_contradictions(survey: Survey) -> list[Row]:
    """Return the texts that come with different labels, those with the most copies first.

    Each is `{"text", "comments", "labels": [{"labels", "ids"}]}`: `text` as the first copy has it, the number of
    copies, and each set of labels (one path per segment, its emotion in brackets) with the ids of its comments.

    Algorithm:
    1. Sort the comments by the hash of their folded text, then by the hash of their labels.
    2. A text whose first and last hash of labels differ is contradictory.
    3. Read the rows of these texts alone.
    """
    keys, labels = survey.table["key"], survey.table["labels"]
    order = np.lexsort((labels, keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order][:1] + np.uint64(1)))
    ends = np.append(starts[1:], len(order)) if len(order) else starts
    found = [
        _contradiction(survey, sorted(order[start:end].tolist()))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        if labels[order[start]] != labels[order[end - 1]]
    ]
    return sorted(found, key=lambda one: -one["comments"])


def _contradiction(survey: Survey, places: list[int]) -> Row:
    """Return what is written of the copies at `places`."""
    rows = [orjson.loads(survey.rows[place]) for place in places]
    ids: dict[int, list[str]] = defaultdict(list)
    labels: dict[int, list[str]] = {}
    for place, row in zip(places, rows, strict=True):
        key = int(survey.table["labels"][place])
        ids[key].append(row["id"])
        labels.setdefault(key, sorted(map(_shown, row["segments"])))
    ways = [{"labels": labels[key], "ids": ids[key]} for key in ids]
    return {"text": rows[0]["text"], "comments": len(places), "labels": ways}


def _shown(segment: Row) -> str:
    path = SEPARATOR.join(value for key, value in segment.items() if key not in ("content", "emotion"))
    return f"{path} [{segment['emotion']}]" if "emotion" in segment else path


def describe_inconsistencies(survey: Survey, contradictions: list[Row], file: object) -> list[str]:
    """Return warnings about emotions that differ only in case and about contradictions; `file` lists the latter."""
    return describe_emotions(survey.emotion_counts()) + describe_contradictions(contradictions, file)


def describe_contradictions(contradictions: list[Row], file: object) -> list[str]:
    """Return the warning about them, if there are any; `file` is where they are listed."""
    if not contradictions:
        return []
    comments = sum(one["comments"] for one in contradictions)
    first = [identity for way in contradictions[0]["labels"] for identity in way["ids"][:1]]
    ids = ", ".join(first[:SHOWN]) + (", .." if len(first) > SHOWN else "")
    texts = "1 text has" if len(contradictions) == 1 else f"{len(contradictions)} texts have"
    return [
        f"{texts} different labels in {comments} copies (ids {ids}), which limits the F1 that can be reached; "
        f"all are listed in {file}"
    ]


def describe_emotions(counts: Counter[str]) -> list[str]:
    """Return a warning for each emotion that is written in several ways which differ only in case."""
    ways: dict[str, list[str]] = defaultdict(list)
    for emotion in sorted(counts):
        ways[emotion.casefold()].append(emotion)
    return [
        f"emotions {', '.join(f'{one!r} ({counts[one]} segments)' for one in same)} differ only in case and count as "
        f"{len(same)}; write them in one way if they are meant as one"
        for same in ways.values()
        if len(same) > 1
    ]
