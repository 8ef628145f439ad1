"""Make one page of all that was measured, to be read without a network and sent to others.

Reads   metrics/compare.json, mix.json, base.json, train.json, svm.json; metrics/{score,mmlu,infer}/<model>.json;
        data/predictions/tuned.jsonl, data/split/test.jsonl, task.json
Writes  metrics/report.html, metrics/plots/*.svg
Run     dvc repro report

The page quotes customers' comments: DVC keeps it, git does not.
"""

import html
from pathlib import Path
from typing import Any

from stages import charts
from stages.entry import run
from stages.measures import MODELS
from stages.mistakes import mistakes
from stages.params import load_params
from stages.records import Row, read_json, read_jsonl, write_whole
from stages.spending import amount, read_costs

TEMPLATE = "report.html.j2"
EXAMPLES = 3  # of each kind of mistake
GROUPS = ("head", "middle", "tail", "unseen")


def plots(lines: list[Row], scores: dict[str, Row], mmlu: dict[str, Row]) -> dict[str, str]:
    """Return the SVG of each plot by its name; `scores` and `mmlu` are by model, of those that were measured."""
    drawn = {}
    measured = [(line["part"], line["key"]) for line in lines]
    if ("mmlu", "acc") in measured:
        drawn["tradeoff"] = charts.svg(charts.trade_off(lines), name="tradeoff")
    if scores:
        levels = list(next(iter(scores.values()))["levels"])
        heights = {model: [voc["levels"][level]["f1"] for level in levels] for model, voc in scores.items()}
        drawn["levels"] = charts.svg(charts.bars(levels, heights, "F1, ancestors included"), name="levels")
        groups = [group for group in GROUPS if any(voc["groups"][group]["gold"] for voc in scores.values())]
        tails = {
            model: [voc["groups"][group]["f1"] if voc["groups"][group]["gold"] else None for group in groups]
            for model, voc in scores.items()
        }
        drawn["tail"] = charts.svg(charts.bars(groups, tails, "F1"), name="tail")
    if {"base", "tuned"} <= mmlu.keys():
        for key, title in (("acc", "accuracy by likelihood"), ("generated_acc", "accuracy by generated answer")):
            subjects = {
                name: {model: mmlu[model]["subjects"][name][key] for model in ("base", "tuned")}
                for name in mmlu["base"]["subjects"]
            }
            height = 1 + 0.24 * len(subjects)
            drawn[f"subjects_{key}"] = charts.svg(charts.forgetting(subjects, title), height=height, name=key)
    return drawn


def inline(svg: str, title: str) -> str:
    """Return an SVG as a part of a page, in the page's colours."""
    start = svg[svg.index("<svg") :].replace(charts.INK, "currentColor")
    return start.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)


def render(page: Row) -> str:
    """Return the page; whatever is said by comments and models is text in it, never markup."""
    from jinja2 import Environment, StrictUndefined

    words = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(words).render(**page)


def _figures(stage: str, part: str, models: tuple[str, ...]) -> dict[str, Row]:
    """Return a stage's figures of each model that it measured."""
    read: dict[str, Any] = {model: read_json(f"metrics/{stage}/{model}.json")[model] for model in models}
    return {model: figures[part] for model, figures in read.items() if figures.get(part)}


def main() -> None:
    """Read, draw, write."""
    params = load_params()
    compared = read_json("metrics/compare.json")
    scores, mmlu = _figures("score", "voc", MODELS), _figures("mmlu", "mmlu", MODELS[:2])
    drawn = plots(compared["measures"], scores, mmlu)
    predictions = Path("data/predictions/tuned.jsonl")
    wrong: list[Row] = []
    if "tuned" in scores:
        task = read_json("data/split/task.json")
        gold = read_jsonl("data/split/test.jsonl")
        wrong = mistakes(gold, read_jsonl(predictions), task["levels"], EXAMPLES)
    page = render(
        {
            "profile": params.profile,
            "data": vars(params.data),
            "mix": read_json("metrics/mix.json")["mix"],
            "lines": compared["measures"],
            "verdict": compared["verdict"],
            "models": MODELS,
            "colours": charts.COLOURS,
            "scores": scores,
            "groups": GROUPS,
            "plots": drawn,
            "inline": inline,
            "mistakes": wrong,
            "costs": read_costs(),
            "amount": amount,
        }
    )
    for name, svg in drawn.items():
        write_whole(f"metrics/plots/{name}.svg", lambda part, svg=svg: part.write_text(svg, encoding="utf-8"))
    write_whole("metrics/report.html", lambda part: part.write_text(page, encoding="utf-8"))
    print(f"report: metrics/report.html, {len(drawn)} plots")


if __name__ == "__main__":
    run(main)
