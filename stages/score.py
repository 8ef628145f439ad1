"""Score a model's labels by order-free matching, and by the rules of the article.

Reads   data/predictions/<model>.jsonl; data/split/test.jsonl, train.jsonl, taxonomy.json
Writes  metrics/score/<model>.json: the metrics below, under `<model>.voc`, with four decimals;
        metrics/score/<model>.jsonl: `{id, matched, predicted, gold, matched_full?}` of the whole paths of each comment
Run     dvc repro score@tuned

Metrics of whole paths, in any order (alloy/scoring/matching.py):

- `precision`, `recall`, `f1`: micro averages (`count_matches`). `f1_low` and `f1_high` are the 95 % interval by
  bootstrap over comments, null if there are too few comments.
- `precision_full`, `recall_full`, `f1_full`, `f1_full_low`, `f1_full_high`: the same for segments whose path and
  emotion are both right (`count_full`). These keys, and `matched_full`, are absent if no gold segment has an emotion.
- `levels`: scores per level, each with its ancestors (`count_levels`); `hierarchical` (`count_nodes`); `mean_depth`;
  `emotion_accuracy` (`count_emotions`).

Other metrics:

- Per leaf: `macro_*`, `weighted_*` and `groups` (alloy/scoring/per_leaf.py).
- Of contents, without labels: `boundaries`, `coverage`, `gold_coverage`, `overlap` and `unquoted`
  (alloy/scoring/segment_boundaries.py).
- Errors: `invalid_json`, `invented_labels` and others (alloy/scoring/answer_errors.py).
- By the rules of the article: `nova_*` of the last level, `nova_levels` of each level (alloy/scoring/article_score.py).
- `over_context`: the number of comments that exceed the model's context; they are left out of all other metrics.

A metric is null if gold or predictions lack what it measures.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from alloy.core.files import InputError, Row, read_jsonl, stream_jsonl, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import read_model_name, run
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labeling.answer import render_answer
from alloy.labeling.settings import LabelFormat, Prompt
from alloy.labeling.task import read_taxonomy
from alloy.scoring import matching
from alloy.scoring.answer_errors import measure_answer_errors
from alloy.scoring.article_score import compute_article_scores
from alloy.scoring.bootstrap import Counts
from alloy.scoring.pairing import CONTEXT, Pair, pair_predictions
from alloy.scoring.per_leaf import average_over_leaves, compute_group_scores, count_leaves
from alloy.scoring.segment_boundaries import list_contents, measure_contents
from alloy.scoring.settings import Score


def score_model(
    pairs: list[Pair], taxonomy: Taxonomy, training: Counter[LabelPath], score: Score, seed: int, *, coded: bool = False
) -> tuple[Row, Counts]:
    """Return all metrics of one model, and (matched, predicted, gold) whole paths of each comment.

    If the labels have emotions, the counts have a fourth column: the segments that match with their emotion. `training`
    has the number of training segments of each leaf. With `coded`, raw answers have codes instead of paths.
    """
    gold = [[segment.path for segment in pair.gold.segments] for pair in pairs]
    predicted = [[segment.path for segment in pair.predicted] for pair in pairs]
    levels = matching.count_levels(gold, predicted, len(taxonomy.levels))
    path_counts = levels[-1]
    gold_segments, predicted_segments = [pair.gold.segments for pair in pairs], [pair.predicted for pair in pairs]
    right, matched = matching.count_emotions(gold_segments, predicted_segments)
    has_emotions = any(segment.emotion is not None for segments in gold_segments for segment in segments)
    full_counts = matching.count_full(gold_segments, predicted_segments) if has_emotions else None
    predicts_emotions = any(segment.emotion is not None for pair in pairs for segment in pair.predicted)
    leaves = count_leaves(gold, predicted, taxonomy.leaves)
    compute_scores = partial(matching.compute_scores_with_interval, resamples=score.resamples, seed=seed)
    full = {} if full_counts is None else compute_scores(full_counts, suffix="_full")
    level_scores = zip(taxonomy.levels, map(matching.compute_scores, levels), strict=True)
    metrics = {
        "comments": len(pairs),
        **compute_scores(path_counts),
        **full,
        **average_over_leaves(leaves),
        "levels": {level: vars(scores) for level, scores in level_scores},
        "hierarchical": vars(matching.compute_scores(matching.count_nodes(levels, predicted))),
        "mean_depth": matching.compute_mean_depth(levels),
        "emotion_accuracy": right / matched if matched and predicts_emotions else None,
        **measure_contents(
            [pair.gold.text for pair in pairs],
            [list_contents(pair.gold.segments) for pair in pairs],
            [list_contents(pair.predicted) for pair in pairs],
        ),
        "groups": compute_group_scores(leaves, taxonomy.leaves, training, score.head, score.tail),
        **measure_answer_errors(pairs, taxonomy),
        **score_as_article(pairs, taxonomy.levels, coded=coded),
    }
    return metrics, path_counts if full_counts is None else np.hstack([path_counts, full_counts[:, :1]])


def score_as_article(pairs: list[Pair], levels: tuple[str, ...], *, coded: bool) -> Row:
    """Return the article's metrics of the raw answers; codes are replaced by their labels first."""
    gold = (render_answer(pair.gold.segments, levels) for pair in pairs)
    predicted = (render_answer(pair.predicted, levels) if coded else pair.raw for pair in pairs)
    scores = compute_article_scores(gold, predicted, levels)
    return {**{f"nova_{name}": value for name, value in scores[levels[-1]].items()}, "nova_levels": scores}


def round_values(metrics: Row) -> Row:
    """Return `metrics` with all floats rounded to four decimals."""
    return {
        key: round_values(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for key, value in metrics.items()
    }


def make_comment_rows(pairs: Sequence[Pair], counts: Counts) -> list[Row]:
    """Return `{id, matched, predicted, gold, matched_full?}` per comment, to compare models on the same comments."""
    names, rows = ("matched", "predicted", "gold", "matched_full"), zip(pairs, counts.tolist(), strict=True)
    return [{"id": pair.gold.id, **dict(zip(names, row, strict=False))} for pair, row in rows]


def main() -> None:
    """Read predictions and comments, pair and score them, write rows and metrics."""
    name = read_model_name()
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
    all_pairs = pair_predictions(read_jsonl(split / "test.jsonl"), read_jsonl(source), taxonomy, source)
    pairs = [pair for pair in all_pairs if pair.finish != CONTEXT]
    if not pairs:
        raise InputError(f"{source}: no comment fits the model's context; shorten the prompt (`prompt` in params.yaml)")
    coded = prompt.labels is LabelFormat.code
    metrics, counts = score_model(pairs, taxonomy, training, score, score.seed, coded=coded)
    voc = {**round_values(metrics), "over_context": len(all_pairs) - len(pairs)}
    write_json(f"{out}.json", {name: {"voc": voc}})
    write_jsonl(f"{out}.jsonl", make_comment_rows(pairs, counts))
    interval_is_missing = voc["f1_low"] is None
    interval = "too few for an interval" if interval_is_missing else f"{voc['f1_low']:.3f} to {voc['f1_high']:.3f}"
    full = f"; with emotions {voc['f1_full']:.3f}" if "f1_full" in voc else ""
    left_out = f" ({count} longer than the context left out)" if (count := voc["over_context"]) else ""
    print(f"score {name}: {voc['comments']} comments{left_out}, F1 {voc['f1']:.3f} ({interval}){full}")


if __name__ == "__main__":
    run(main)
