"""Answers that cannot be right: invalid JSON, empty lists, repeated segments, labels and paths not in the taxonomy."""

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.pairing import LENGTH, STOP, Pair


def faults(pairs: list[Pair], taxonomy: Taxonomy) -> Row:
    """Return shares of answers, and shares of predicted segments.

    Of answers: `invalid_json` (ended by themselves, but not as a JSON list), `ended_by_length` (cut at the token
    limit), `unanswered` (refused, or failed), `empty_answers` (valid, without a segment). Of segments:
    `invented_labels` (a label that the taxonomy does not have at its level, or an empty one), `broken_paths` (labels
    that are there, but do not belong together) and `repeated_segments` (the same content, path and emotion as one
    before it in the same answer).
    """
    paths = [segment.path for pair in pairs for segment in pair.predicted]
    known = [{path[depth] for path in taxonomy.leaves} for depth in range(len(taxonomy.levels))]
    broken = [path for path in paths if path not in taxonomy.leaves]
    invented = sum(any(label not in known[depth] for depth, label in enumerate(path)) for path in broken)
    ended = [(pair.finish, pair.valid) for pair in pairs]
    return {
        "invalid_json": ended.count((STOP, False)) / len(pairs),
        "ended_by_length": sum(finish == LENGTH for finish, _ in ended) / len(pairs),
        "unanswered": sum(finish not in (STOP, LENGTH) for finish, _ in ended) / len(pairs),
        "invented_labels": invented / max(len(paths), 1),
        "broken_paths": (len(broken) - invented) / max(len(paths), 1),
        "repeated_segments": sum(len(pair.predicted) - len(set(pair.predicted)) for pair in pairs) / max(len(paths), 1),
        "empty_answers": sum(pair.valid and not pair.predicted for pair in pairs) / len(pairs),
    }
