"""Measure a model's general ability on multiple-choice questions, by likelihood and by generated answer, with lm-eval.

Reads   data/<benchmark>/benchmark/test.jsonl, dev.jsonl; models/<model>
Writes  metrics/mmlu/<model>.json: overall, by MMLU's own groups and by subject;
        metrics/mmlu/<model>.jsonl: `{id, subject, acc, generated_acc, unparsed, answer, cut}` a question
Run     dvc repro mmlu@tuned

The two figures tell knowledge from format: `acc` asks which choice the model finds most likely, `generated_acc` what
it says when asked, and `unparsed` how often that is no answer at all.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.core.settings import Data, load_sections, profile_name
from alloy.core.stage import model_name, run
from alloy.evaluation.lm_eval_run import cut_at, evaluate, evaluation
from alloy.evaluation.mmlu_tasks import generated_task, groups_of, likelihood_task
from alloy.evaluation.settings import AnswerAs, Harness, Mmlu
from alloy.formats.mmlu import Questions, load_questions
from alloy.modeling.model_folder import hosted
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

SHARES = ("acc", "generated_acc", "unparsed")


def ask(model: "LM", questions: Questions, mmlu: Mmlu, kept: Path | None = None) -> list[Row]:
    """Return `{id, subject, acc, generated_acc, unparsed, answer, cut}` a question, in order: 1 or 0, and what it said.

    Answers are kept in the database `kept`.
    """
    by_text = mmlu.answer is AnswerAs.text
    likelihood = {subject: likelihood_task(subject, splits, mmlu) for subject, splits in questions.items()}
    generated = {subject: generated_task(subject, splits, mmlu) for subject, splits in questions.items()}
    known = _samples(model, list(likelihood.values()), mmlu, kept, chat=by_text)
    said = _samples(model, list(generated.values()), mmlu, kept, chat=True)
    rows = []
    for subject in questions:
        pairs = zip(known[f"mmlu_{subject}"], said[f"mmlu_{subject}_generated"], strict=True)
        for number, (likely, answer) in enumerate(pairs):
            rows.append(
                {
                    "id": f"{subject}/{number}",
                    "subject": subject,
                    "acc": int(likely["acc"]),
                    "generated_acc": int(answer["generated_acc"]),
                    "unparsed": int(answer["unparsed"]),
                    "answer": answer["resps"][0][0],
                    "cut": cut_at(model, answer["resps"][0][0], mmlu.max_new_tokens),
                }
            )
    return rows


def _samples(model: "LM", tasks: "list[Task]", mmlu: Mmlu, kept: Path | None, *, chat: bool) -> dict[str, list[Row]]:
    """Return what lm-eval saw of each question, by task, in the order of the questions."""
    asked = {"num_fewshot": mmlu.fewshot, "limit": mmlu.limit, "apply_chat_template": chat}
    results = evaluate(model, tasks, kept, log_samples=True, **asked)
    return {name: sorted(samples, key=lambda sample: sample["doc_id"]) for name, samples in results["samples"].items()}


def figures(rows: list[Row]) -> Row:
    """Return the shares over all questions, over each of MMLU's groups and over each subject."""
    subjects = dict.fromkeys(row["subject"] for row in rows)
    return {
        **_shares(rows),
        "groups": {
            group: _shares([row for row in rows if row["subject"] in members])
            for group, members in groups_of(subjects).items()
        },
        "subjects": {subject: _shares([row for row in rows if row["subject"] == subject]) for subject in subjects},
    }


def _shares(rows: list[Row]) -> Row:
    return {"questions": len(rows)} | {key: round(sum(row[key] for row in rows) / len(rows), 4) for key in SHARES}


def main() -> None:
    """Load, ask, write."""
    name = model_name()
    mmlu, harness, data = load_sections(Mmlu, Harness, Data)
    out, rows = Path(f"metrics/mmlu/{name}.json"), Path(f"metrics/mmlu/{name}.jsonl")
    if service := hosted(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"mmlu {name}: skipped, {service} is hosted and tells no likelihoods")
        return
    questions = load_questions(Path("data") / data.benchmark / "benchmark")
    fewest = min(len(splits["dev"]) for splits in questions.values())
    if mmlu.fewshot > fewest:
        raise InputError(
            f"profiles/{profile_name()}.yaml: mmlu.fewshot: {mmlu.fewshot}, but a subject has {fewest} dev rows"
        )

    def measure(kept: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        asked = ask(open_model(f"models/{name}", harness), questions, mmlu, kept)
        return {name: {"mmlu": figures(asked)}}, asked

    found = evaluation("mmlu", name, [mmlu, harness], measure, {METRICS: out, ROWS: rows})[name]["mmlu"]
    print(f"mmlu {name}: acc {found['acc']:.3f}, generated {found['generated_acc']:.3f}")


if __name__ == "__main__":
    run(main)
