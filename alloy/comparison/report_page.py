"""The report: one HTML page that contains its plots and needs no other file."""

import html
from pathlib import Path

from alloy.comparison import charts
from alloy.comparison.metrics import ANSWERS, TESTS
from alloy.core.files import Row
from alloy.core.terminal_text import escape_controls

TEMPLATE = "report.html.j2"
GROUPS = ("head", "middle", "tail", "unseen")
FLAGS = {"leak": "customer labels", "empty": "empty", "cut": "cut at the token limit", "loops": "repeats itself"}
# Lines of the comparison that are shown in the section on leakage, below `leak`, instead of the table of all metrics.
LEAKAGE = (*(f"{test}.leak" for test in TESTS), *(f"{ANSWERS}.{flag}" for flag in FLAGS if flag != "leak"))


def draw_plots(lines: list[Row], scores: dict[str, Row], mmlu: dict[str, Row]) -> dict[str, str]:
    """Return the SVG of each plot, by name; `scores` and `mmlu` are the metrics of each model that was measured."""
    svgs = {}
    measured = [(line["part"], line["key"]) for line in lines]
    if ("mmlu", "acc") in measured:
        svgs["tradeoff"] = charts.render_svg(charts.make_trade_off_chart(lines), name="tradeoff")
    if scores:
        levels = list(next(iter(scores.values()))["levels"])
        heights = {model: [voc["levels"][level]["f1"] for level in levels] for model, voc in scores.items()}
        groups_of_bars = levels
        if all("f1_full" in voc for voc in scores.values()):
            groups_of_bars = [*levels, "path and emotion"]
            heights = {model: [*heights[model], voc["f1_full"]] for model, voc in scores.items()}
        svgs["levels"] = charts.render_svg(
            charts.make_bar_chart(groups_of_bars, heights, "F1, ancestors included"), name="levels"
        )
        groups = [group for group in GROUPS if any(voc["groups"][group]["gold"] for voc in scores.values())]
        group_heights = {
            model: [voc["groups"][group]["f1"] if voc["groups"][group]["gold"] else None for group in groups]
            for model, voc in scores.items()
        }
        svgs["tail"] = charts.render_svg(charts.make_bar_chart(groups, group_heights, "F1"), name="tail")
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
            counts = {name: subject["questions"] for name, subject in mmlu["base"]["subjects"].items()}
            chart = charts.make_forgetting_chart(subjects, counts, title, mmlu["base"].get(chance, 0.0))
            svgs[f"subjects_{key}"] = charts.render_svg(chart, height=height, name=key)
    return svgs


def pair_chat_answers(chats: dict[str, list[Row]], flagged: dict[str, list[Row]]) -> list[Row]:
    """Return `{category, messages, answers}` per chat prompt, where `answers` has `{text, flags}` of each model.

    `chats` and `flagged` are the rows of metrics/chat and metrics/answers, by model. `flags` are the texts of `FLAGS`
    that apply to an answer.
    """
    prompts: dict[str, Row] = {}
    for model, rows in chats.items():
        flagged_by_id = {row["id"]: row for row in flagged[model] if row["test"] == "chat"}
        for row in rows:
            prompt = {"category": row["category"], "messages": row["messages"], "answers": {}}
            flags = [title for flag, title in FLAGS.items() if flagged_by_id.get(row["id"], {}).get(flag)]
            text = row["answer"] or (f"(no answer: {row['reason']})" if row.get("reason") else "")
            prompts.setdefault(row["id"], prompt)["answers"][model] = {"text": text, "flags": flags}
    return list(prompts.values())


def inline_svg(svg: str, title: str) -> str:
    """Return an SVG as an element of an HTML page, with axes and text in the page's color."""
    start = svg[svg.index("<svg") :].replace(charts.FOREGROUND, "currentColor")
    return start.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)


def _escape_text(value: object) -> object:
    """Return text from data with control characters escaped, such as those that change the text direction."""
    return escape_controls(value) if type(value) is str else value


def render_page(page: Row) -> str:
    """Return the HTML of the page; text of comments and models is escaped, so it is never markup."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_escape_text
    )
    return environment.from_string(template).render(**page)
