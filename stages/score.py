"""Score a model's labels against the gold ones, by order-free matching of whole paths.

Reads   data/predictions/<model>.jsonl, data/split/test.jsonl, taxonomy.json
Writes  metrics/score/<model>.json
Run     dvc repro score@tuned

A comment's labels are a multiset: their order does not matter, a label that stands there once can be found once, and
whatever else is predicted costs precision. `voc.f1` is over whole paths; `voc.levels` over their first one, two, ..
levels, ancestors included.
"""

import sys
from pathlib import Path

from stages.comments import parse_comment
from stages.entry import run
from stages.experiment import Score
from stages.matching import count_matches, f1_interval, rates
from stages.params import load_params
from stages.records import InputError, Row, read_json, read_jsonl, write_json
from stages.taxonomy import LabelPath, Taxonomy


def align(gold: list[Row], predictions: list[Row], source: Path) -> list[Row]:
    """Return the gold rows that the predictions answer, in their order; they must be the first of the test set."""
    for number, (wanted, row) in enumerate(zip(gold, predictions, strict=False), 1):
        if row["id"] != wanted["id"]:
            raise InputError(f"{source}:{number}: id '{row['id']}' where '{wanted['id']}' belongs; run infer again")
    if not predictions or len(predictions) > len(gold):
        raise InputError(f"{source}: {len(predictions)} predictions for {len(gold)} comments; run infer again")
    return gold[: len(predictions)]


def score_model(gold: list[Row], predictions: list[Row], taxonomy: Taxonomy, score: Score, seed: int) -> Row:
    """Return all figures of one model: F1 of whole paths with its interval, of each level, and what was wrong."""
    levels = taxonomy.levels
    wanted = [[segment.path for segment in parse_comment(row, taxonomy).segments] for row in gold]
    found: list[list[LabelPath]] = [
        [tuple(segment[level] for level in levels) for segment in row["segments"]] for row in predictions
    ]
    counts = count_matches(wanted, found)
    whole = rates(counts)
    low, high = f1_interval(counts, score.resamples, seed)
    by_level = {
        level: round(rates(count_matches(cut(wanted, depth), cut(found, depth))).f1, 4)
        for depth, level in enumerate(levels, 1)
    }
    labels = [path for paths in found for path in paths]
    known = [{path[depth] for path in taxonomy.leaves} for depth in range(len(levels))]
    invented = [path for path in labels if any(label not in known[depth] for depth, label in enumerate(path))]
    broken = [path for path in labels if path not in taxonomy.leaves]
    return {
        "comments": len(gold),
        "precision": round(whole.precision, 4),
        "recall": round(whole.recall, 4),
        "f1": round(whole.f1, 4),
        "f1_low": round(low, 4),
        "f1_high": round(high, 4),
        "levels": by_level,
        "invalid_json": round(sum(not row["valid"] for row in predictions) / len(gold), 4),
        "invented_labels": round(len(invented) / max(len(labels), 1), 4),
        "broken_paths": round((len(broken) - len(invented)) / max(len(labels), 1), 4),
    }


def cut(comments: list[list[LabelPath]], depth: int) -> list[list[LabelPath]]:
    """Return the paths down to `depth` levels."""
    return [[path[:depth] for path in paths] for paths in comments]


def main() -> None:
    """Read, align, score, write."""
    name = sys.argv[1]
    params = load_params()
    split = Path("data/split")
    source = Path("data/predictions") / f"{name}.jsonl"
    if source.is_file() and not source.stat().st_size:
        write_json(f"metrics/score/{name}.json", {name: {}})
        print(f"score {name}: skipped, there are no predictions")
        return
    taxonomy = Taxonomy.from_rows(read_json(split / "taxonomy.json"))
    predictions = read_jsonl(source)
    gold = align(read_jsonl(split / "test.jsonl"), predictions, source)
    voc = score_model(gold, predictions, taxonomy, params.score, params.seed)
    write_json(f"metrics/score/{name}.json", {name: {"voc": voc}})
    print(f"score {name}: F1 {voc['f1']:.3f} ({voc['f1_low']:.3f} to {voc['f1_high']:.3f})")


if __name__ == "__main__":
    run(main)
