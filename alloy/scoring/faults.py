"""Answers that cannot be right: invalid JSON, empty lists, labels and paths that the taxonomy does not have."""

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.pairing import Pair


def faults(pairs: list[Pair], taxonomy: Taxonomy) -> Row:
    """Return shares of answers: `invalid_json`, `empty_answers` (valid, without a segment); and of predicted segments.

    These are `invented_labels` (a label that the taxonomy does not have at its level, or an empty one) and
    `broken_paths` (labels that are there, but do not belong together).
    """
    paths = [segment.path for pair in pairs for segment in pair.predicted]
    known = [{path[depth] for path in taxonomy.leaves} for depth in range(len(taxonomy.levels))]
    broken = [path for path in paths if path not in taxonomy.leaves]
    invented = sum(any(label not in known[depth] for depth, label in enumerate(path)) for path in broken)
    return {
        "invalid_json": sum(not pair.valid for pair in pairs) / len(pairs),
        "invented_labels": invented / max(len(paths), 1),
        "broken_paths": (len(broken) - invented) / max(len(paths), 1),
        "empty_answers": sum(pair.valid and not pair.predicted for pair in pairs) / len(pairs),
    }
