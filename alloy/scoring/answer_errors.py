"""Errors that are found without gold labels: invalid JSON, empty or repeated segments, labels not in the taxonomy."""

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.pairing import LENGTH, STOP, Pair


def measure_answer_errors(pairs: list[Pair], taxonomy: Taxonomy) -> Row:
    """Return the share of answers, or of predicted segments, that have each kind of error.

    Shares of answers:
    - `invalid_json`: the model ended its answer, but the answer is not a JSON list.
    - `ended_by_length`: the answer was cut at the token limit.
    - `unanswered`: the request was refused or failed, or its prompt did not fit.
    - `empty_answers`: valid, but without a segment.

    Shares of predicted segments:
    - `invented_labels`: a label is empty, or not in the taxonomy at its level.
    - `broken_paths`: each label is in the taxonomy, but their path is not.
    - `repeated_segments`: same content, path and emotion as an earlier segment of the same answer.
    """
    paths = [segment.path for pair in pairs for segment in pair.predicted]
    labels_by_level = [{path[depth] for path in taxonomy.leaves} for depth in range(len(taxonomy.levels))]
    broken = [path for path in paths if path not in taxonomy.leaves]
    invented = sum(any(label not in labels_by_level[depth] for depth, label in enumerate(path)) for path in broken)
    endings = [(pair.finish, pair.valid) for pair in pairs]
    return {
        "invalid_json": endings.count((STOP, False)) / len(pairs),
        "ended_by_length": sum(finish == LENGTH for finish, _ in endings) / len(pairs),
        "unanswered": sum(finish not in (STOP, LENGTH) for finish, _ in endings) / len(pairs),
        "invented_labels": invented / max(len(paths), 1),
        "broken_paths": (len(broken) - invented) / max(len(paths), 1),
        "repeated_segments": sum(len(pair.predicted) - len(set(pair.predicted)) for pair in pairs) / max(len(paths), 1),
        "empty_answers": sum(pair.valid and not pair.predicted for pair in pairs) / len(pairs),
    }
