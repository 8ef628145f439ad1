"""Score a model's labels honestly, and as the article did.

Reads   data/predictions/<model>.jsonl; data/split/test.jsonl, train.jsonl, taxonomy.json
Writes  metrics/score/<model>.json: the figures below, under `<model>.voc`, with four digits;
        metrics/score/<model>.jsonl: `{id, matched, predicted, gold}`, a comment's whole paths
Run     dvc repro score@tuned

`precision`, `recall`, `f1`: whole paths, micro-averaged, in any order (`count_matches` in alloy/scoring/matching.py);
`f1_low` and `f1_high` are the 95 % interval, by bootstrap over comments. There too: `levels`, each with its ancestors
(`count_levels`), `hierarchical` (`count_nodes`), `mean_depth` and `emotion_accuracy` (`count_emotions`). By leaf:
`macro_*`, `weighted_*` and `groups` (alloy/scoring/per_leaf.py). Of contents alone: `boundaries`, `coverage`,
`gold_coverage`, `overlap`, `unquoted` (alloy/scoring/segment_boundaries.py). What went wrong: `faults` here. As the
article: `nova_*` are its figures of the last level, `nova_levels` of each (alloy/scoring/article_score.py). Null is
what gold or predictions do not have.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from alloy.core.files import Row, read_jsonl, stream_jsonl, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import model_name, run
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labelling.answer import render_answer
from alloy.labelling.settings import LabelsAs, Prompt
from alloy.labelling.task import read_taxonomy
from alloy.scoring.article_score import nova_scores
from alloy.scoring.bootstrap import Counts, estimate, f1
from alloy.scoring.matching import count_emotions, count_levels, count_nodes, mean_depth, rates
from alloy.scoring.pairing import Pair, pair_up
from alloy.scoring.per_leaf import averages, by_group, count_leaves
from alloy.scoring.segment_boundaries import contents_of, of_contents
from alloy.scoring.settings import Score


def score_model(
    pairs: list[Pair], taxonomy: Taxonomy, training: Counter[LabelPath], score: Score, seed: int, *, coded: bool = False
) -> tuple[Row, Counts]:
    """Return all figures of one model, and (matched, predicted, gold) whole paths of each comment.

    `training` has the segments of each leaf that the model could learn from; `coded`: `raw` has codes for paths.
    """
    gold = [[segment.path for segment in pair.gold.segments] for pair in pairs]
    predicted = [[segment.path for segment in pair.predicted] for pair in pairs]
    levels = count_levels(gold, predicted, len(taxonomy.levels))
    whole = levels[-1]
    interval = estimate(whole, f1, score.resamples, seed)
    right, matched = count_emotions([pair.gold.segments for pair in pairs], [pair.predicted for pair in pairs])
    emotions = any(segment.emotion is not None for pair in pairs for segment in pair.predicted)
    leaves = count_leaves(gold, predicted, taxonomy.leaves)
    figures = {
        "comments": len(pairs),
        **vars(rates(whole)),
        "f1_low": interval.low,
        "f1_high": interval.high,
        **averages(leaves),
        "levels": {level: vars(rates(counts)) for level, counts in zip(taxonomy.levels, levels, strict=True)},
        "hierarchical": vars(rates(count_nodes(levels, predicted))),
        "mean_depth": mean_depth(levels),
        "emotion_accuracy": right / matched if matched and emotions else None,
        **of_contents(
            [pair.gold.text for pair in pairs],
            [contents_of(pair.gold.segments) for pair in pairs],
            [contents_of(pair.predicted) for pair in pairs],
        ),
        "groups": by_group(leaves, taxonomy.leaves, training, score.head, score.tail),
        **faults(pairs, taxonomy),
        **nova(pairs, taxonomy.levels, coded=coded),
    }
    return figures, whole


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


def nova(pairs: list[Pair], levels: tuple[str, ...], *, coded: bool) -> Row:
    """Return the article's figures of raw answers; where these hold codes, of what they stand for."""
    gold = (render_answer(pair.gold.segments, levels) for pair in pairs)
    said = (render_answer(pair.predicted, levels) if coded else pair.raw for pair in pairs)
    scores = nova_scores(gold, said, levels)
    return {**{f"nova_{name}": value for name, value in scores[levels[-1]].items()}, "nova_levels": scores}


def rounded(figures: Row) -> Row:
    """Return `figures` with four digits."""
    return {
        key: rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for key, value in figures.items()
    }


def comment_rows(pairs: Sequence[Pair], counts: Counts) -> list[Row]:
    """Return `{id, matched, predicted, gold}` a comment, for comparisons of models on the same comments."""
    names = ("matched", "predicted", "gold")
    return [
        {"id": pair.gold.id, **dict(zip(names, row, strict=True))}
        for pair, row in zip(pairs, counts.tolist(), strict=True)
    ]


def main() -> None:
    """Read, pair up, score, write."""
    name = model_name()
    score, prompt = load_sections(Score, Prompt)
    split, source, out = Path("data/split"), Path(f"data/predictions/{name}.jsonl"), Path(f"metrics/score/{name}")
    if source.is_file() and not source.stat().st_size:
        write_json(f"{out}.json", {name: {}})
        write_jsonl(f"{out}.jsonl", [])
        print(f"score {name}: skipped, there are no predictions")
        return
    taxonomy = read_taxonomy()
    train = (parse_comment(row, taxonomy) for row in stream_jsonl(split / "train.jsonl"))
    training = Counter(segment.path for comment in train for segment in comment.segments)
    pairs = pair_up(read_jsonl(split / "test.jsonl"), read_jsonl(source), taxonomy, source)
    coded = prompt.labels is LabelsAs.code
    figures, counts = score_model(pairs, taxonomy, training, score, score.seed, coded=coded)
    voc = rounded(figures)
    write_json(f"{out}.json", {name: {"voc": voc}})
    write_jsonl(f"{out}.jsonl", comment_rows(pairs, counts))
    print(f"score {name}: F1 {voc['f1']:.3f} ({voc['f1_low']:.3f} to {voc['f1_high']:.3f})")


if __name__ == "__main__":
    run(main)
