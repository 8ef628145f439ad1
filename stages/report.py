"""Write the report: one HTML page with all results, which needs no network or other files.

Reads   metrics/compare.json, mix.json, base.json, train.json, svm.json; metrics/{score,mmlu,infer}/<model>.json;
        metrics/{answers,chat}/<model>.jsonl; data/predictions/tuned.jsonl, data/split/test.jsonl, task.json
Writes  metrics/report.html, metrics/plots/*.svg
Run     dvc repro report

The page quotes customers' comments, so it is stored by DVC and not by git.
"""

from pathlib import Path

from alloy.comparison.costs import find_trained_share, format_amount, read_costs
from alloy.comparison.error_analysis import list_mistakes
from alloy.comparison.formulation import add_headline_to_mmlu
from alloy.comparison.metrics import ANSWERS, LANGUAGE_MODELS, MODELS
from alloy.comparison.report_page import GROUPS, LEAKAGE, draw_plots, inline_svg, pair_chat_answers, render_page
from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.verdict import format_p, has_enough_items
from alloy.core.files import Row, count_lines, read_json, read_jsonl, write_atomically
from alloy.core.metrics_file import read_metrics
from alloy.core.settings import Data, load_profile_name
from alloy.core.stage import run
from alloy.scoring.bootstrap import MIN_ITEMS

EXAMPLES = 3  # comments shown per kind of mistake


def _read_part(stage: str, part: str, models: tuple[str, ...]) -> dict[str, Row]:
    """Return the metrics that a stage wrote for each model that it measured."""
    metrics = {model: read_metrics(f"metrics/{stage}/{model}.json", model) for model in models}
    return {model: model_metrics[part] for model, model_metrics in metrics.items() if model_metrics.get(part)}


def _read_rows(folder: str) -> dict[str, list[Row]]:
    """Return the rows of each language model in a folder of metrics; an empty list if a model was not measured."""
    files = {model: Path(f"metrics/{folder}/{model}.jsonl") for model in LANGUAGE_MODELS}
    return {model: read_jsonl(file) if count_lines(file) else [] for model, file in files.items()}


def main() -> None:
    """Read the metrics, draw the plots, write page and plots."""
    compared = read_json("metrics/compare.json")
    scores, mmlu = _read_part("score", "voc", MODELS), _read_part("mmlu", "mmlu", LANGUAGE_MODELS)
    if formulation := compared["mmlu"]["formulation"]:
        mmlu = {model: add_headline_to_mmlu(model_metrics, formulation) for model, model_metrics in mmlu.items()}
    plots = draw_plots(compared["measures"], scores, mmlu)
    predictions = Path("data/predictions/tuned.jsonl")
    mistakes: list[Row] = []
    if "tuned" in scores:
        task = read_json("data/split/task.json")
        gold = read_jsonl("data/split/test.jsonl")
        mistakes = list_mistakes(gold, read_jsonl(predictions), task["levels"], EXAMPLES)
    mix, train_metrics = read_metrics("metrics/mix.json", "mix"), read_metrics("metrics/train.json", "train")
    page = render_page(
        {
            "profile": load_profile_name(),
            "data": Data.load().model_dump(),
            "mix": mix,
            "trained": train_metrics,
            "share": find_trained_share(mix, train_metrics),
            "lines": [line for line in compared["measures"] if line["name"] not in LEAKAGE],
            "leakage": [line for line in compared["measures"] if line["name"] in ("leak", *LEAKAGE)],
            "chats": pair_chat_answers(_read_rows("chat"), _read_rows(ANSWERS)),
            "verdict": compared["verdict"],
            "one_seed": ONE_SEED.replace("`", "") if compared["verdict"] else "",
            "models": MODELS,
            "scores": scores,
            "groups": GROUPS,
            "plots": plots,
            "inline_svg": inline_svg,
            "mistakes": mistakes,
            "costs": read_costs(),
            "format_amount": format_amount,
            "min_items": MIN_ITEMS,
            "has_too_few_items": lambda line: not has_enough_items(line),
            "format_p": format_p,
        }
    )
    for name, svg in plots.items():
        write_atomically(f"metrics/plots/{name}.svg", lambda file, svg=svg: file.write_text(svg, encoding="utf-8"))
    write_atomically("metrics/report.html", lambda file: file.write_text(page, encoding="utf-8"))
    print(f"report: metrics/report.html, {len(plots)} plots")


if __name__ == "__main__":
    run(main)
