"""The report: one page that needs nothing else, with its plots."""

import html
from pathlib import Path

from alloy.comparison import charts
from alloy.comparison.metrics import ANSWERS, TESTS
from alloy.core.files import Row
from alloy.core.terminal_text import escape_controls

TEMPLATE = "report.html.j2"
GROUPS = ("head", "middle", "tail", "unseen")
FLAGS = {"leak": "customer labels", "empty": "empty", "cut": "cut at the limit", "loops": "repeats itself"}
# The lines of the comparison that are shown in a section of their own, below `leak`, and not among all metrics.
LEAKAGE = (*(f"{test}.leak" for test in TESTS), *(f"{ANSWERS}.{flag}" for flag in FLAGS if flag != "leak"))


def plots(lines: list[Row], scores: dict[str, Row], mmlu: dict[str, Row]) -> dict[str, str]:
    """Return the SVG of each plot by its name; `scores` and `mmlu` are by model, of those that were measured."""
    drawn = {}
    measured = [(line["part"], line["key"]) for line in lines]
    if ("mmlu", "acc") in measured:
        drawn["tradeoff"] = charts.svg(charts.trade_off(lines), name="tradeoff")
    if scores:
        levels = list(next(iter(scores.values()))["levels"])
        heights = {model: [voc["levels"][level]["f1"] for level in levels] for model, voc in scores.items()}
        bars = levels
        if all("f1_full" in voc for voc in scores.values()):
            bars = [*levels, "path and emotion"]
            heights = {model: [*heights[model], voc["f1_full"]] for model, voc in scores.items()}
        drawn["levels"] = charts.svg(charts.bars(bars, heights, "F1, ancestors included"), name="levels")
        groups = [group for group in GROUPS if any(voc["groups"][group]["gold"] for voc in scores.values())]
        tails = {
            model: [voc["groups"][group]["f1"] if voc["groups"][group]["gold"] else None for group in groups]
            for model, voc in scores.items()
        }
        drawn["tail"] = charts.svg(charts.bars(groups, tails, "F1"), name="tail")
    if {"base", "tuned"} <= mmlu.keys():
        for key, title, chance in (
            ("acc", "accuracy by likelihood", "chance"),
            ("generated_acc", "accuracy by generated answer", "generated_chance"),
        ):
            subjects = {
                name: {model: mmlu[model]["subjects"][name][key] for model in ("base", "tuned")}
                for name in mmlu["base"]["subjects"]
            }
            height = 1 + 0.24 * len(subjects)
            counts = {name: own["questions"] for name, own in mmlu["base"]["subjects"].items()}
            lost = charts.forgetting(subjects, counts, title, mmlu["base"].get(chance, 0.0))
            drawn[f"subjects_{key}"] = charts.svg(lost, height=height, name=key)
    return drawn


def side_by_side(chats: dict[str, list[Row]], judged: dict[str, list[Row]]) -> list[Row]:
    """Return `{category, messages, answers}` per chat prompt, where `answers` has `{text, flags}` of each model.

    `chats` and `judged` are the rows of metrics/chat and metrics/answers by model. `flags` say what is wrong with an
    answer, in the words of `FLAGS`.
    """
    prompts: dict[str, Row] = {}
    for model, rows in chats.items():
        found = {row["id"]: row for row in judged[model] if row["test"] == "chat"}
        for row in rows:
            prompt = {"category": row["category"], "messages": row["messages"], "answers": {}}
            flags = [title for flag, title in FLAGS.items() if found[row["id"]][flag]]
            prompts.setdefault(row["id"], prompt)["answers"][model] = {"text": row["answer"], "flags": flags}
    return list(prompts.values())


def inline(svg: str, title: str) -> str:
    """Return an SVG as a part of a page, in the page's colours."""
    start = svg[svg.index("<svg") :].replace(charts.INK, "currentColor")
    return start.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)


def _plain_text(value: object) -> object:
    """Return text from data without control characters, such as marks that turn the direction of what follows."""
    return escape_controls(value) if type(value) is str else value


def render(page: Row) -> str:
    """Return the page; whatever is said by comments and models is text in it, never markup."""
    from jinja2 import Environment, StrictUndefined

    words = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_plain_text
    )
    return environment.from_string(words).render(**page)
