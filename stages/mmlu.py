"""Measure a model's general knowledge on multiple-choice questions, asked in three ways, with lm-eval.

Reads   data/prepared/benchmark/test.jsonl, dev.jsonl; models/<model>
Writes  metrics/mmlu/<model>.json: overall, by MMLU's own groups and by subject;
        metrics/mmlu/<model>.jsonl: `{id, subject, chance, <0 or 1 for each metric>, answer, cut}` per question
Run     dvc repro mmlu@tuned

- `cloze_acc`, `cloze_acc_norm`: the choices are not shown; is the right one the likeliest, in sum and per character?
- `letters_acc`: the choices are shown; is the letter of the right one the likeliest?
- `generated_acc`, `generated_strict`, `unparsed`: does the generated answer name the right choice, is it the right
  choice and nothing else, does it name none?

The stage `compare` picks the headline `mmlu.acc` among the first three, by base (alloy/comparison/formulation.py).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.core.settings import load_sections, profile_name
from alloy.core.stage import model_name, run
from alloy.evaluation.lm_eval_run import cut_at, evaluate, evaluation
from alloy.evaluation.mmlu_tasks import cloze_task, generated_task, groups_of, letters_task
from alloy.evaluation.settings import ClozePrompt, Harness, Mmlu
from alloy.formats.mmlu import Questions, load_questions
from alloy.modeling.model_folder import hosted
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

SHARES = ("cloze_acc", "cloze_acc_norm", "letters_acc", "generated_acc", "generated_strict", "unparsed")


def ask(model: "LM", questions: Questions, mmlu: Mmlu, kept: Path | None = None) -> list[Row]:
    """Return `{id, subject, chance, <0 or 1 for each of SHARES>, answer, cut}` per question, in order.

    `chance` is what guessing gives, `answer` the generated text. Answers are kept in the database `kept`.
    """
    tasks: dict[str, list[Task]] = {
        kind: [make(subject, splits, mmlu) for subject, splits in questions.items()]
        for kind, make in (("cloze", cloze_task), ("letters", letters_task), ("generated", generated_task))
    }
    cloze = _samples(model, tasks["cloze"], mmlu, kept, chat=mmlu.cloze is ClozePrompt.chat)
    letters = _samples(model, tasks["letters"], mmlu, kept, chat=False)
    generated = _samples(model, tasks["generated"], mmlu, kept, chat=True)
    rows = []
    for subject in questions:
        of_subject = (cloze[f"mmlu_{subject}_cloze"], letters[f"mmlu_{subject}_letters"])
        asked = zip(*of_subject, generated[f"mmlu_{subject}_generated"], strict=True)
        for number, (text, letter, said) in enumerate(asked):
            rows.append(
                {
                    "id": f"{subject}/{number}",
                    "subject": subject,
                    "chance": 1 / len(text["doc"]["choices"]),
                    "cloze_acc": int(text["acc"]),
                    "cloze_acc_norm": int(text["acc_norm"]),
                    "letters_acc": int(letter["acc"]),
                    **{key: int(said[key]) for key in ("generated_acc", "generated_strict", "unparsed")},
                    "answer": said["resps"][0][0],
                    "cut": cut_at(model, said["resps"][0][0], mmlu.max_new_tokens),
                }
            )
    return rows


def _samples(model: "LM", tasks: "list[Task]", mmlu: Mmlu, kept: Path | None, *, chat: bool) -> dict[str, list[Row]]:
    """Return what lm-eval saw of each question, by task, in the order of the questions."""
    asked = {"num_fewshot": mmlu.fewshot, "limit": mmlu.limit, "apply_chat_template": chat}
    results = evaluate(model, tasks, kept, log_samples=True, **asked)
    return {name: sorted(samples, key=lambda sample: sample["doc_id"]) for name, samples in results["samples"].items()}


def figures(rows: list[Row], *, show_choices: bool) -> Row:
    """Return the shares over all questions, over each of MMLU's groups and over each subject.

    `generated_chance` is 0 unless the prompt shows the choices: an answer cannot be guessed from what is not seen.
    """
    subjects = dict.fromkeys(row["subject"] for row in rows)

    def shares(members: Iterable[str]) -> Row:
        return _shares([row for row in rows if row["subject"] in members], show_choices)

    return {
        **shares(subjects),
        "groups": {group: shares(members) for group, members in groups_of(subjects).items()},
        "subjects": {subject: shares([subject]) for subject in subjects},
    }


def _shares(rows: list[Row], show_choices: bool) -> Row:
    means = {key: round(sum(row[key] for row in rows) / len(rows), 4) for key in ("chance", *SHARES)}
    return {"questions": len(rows), "generated_chance": means["chance"] if show_choices else 0.0, **means}


def main() -> None:
    """Load, ask, write."""
    name = model_name()
    mmlu, harness = load_sections(Mmlu, Harness)
    out, rows = Path(f"metrics/mmlu/{name}.json"), Path(f"metrics/mmlu/{name}.jsonl")
    if service := hosted(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"mmlu {name}: skipped, {service} is hosted and tells no likelihoods")
        return
    questions = load_questions(Path("data/prepared/benchmark"))
    fewest = min(len(splits["dev"]) for splits in questions.values())
    if mmlu.fewshot > fewest:
        raise InputError(
            f"profiles/{profile_name()}.yaml: mmlu.fewshot: {mmlu.fewshot}, but a subject has {fewest} dev rows"
        )

    def measure(kept: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        asked = ask(open_model(f"models/{name}", harness), questions, mmlu, kept)
        return {name: {"mmlu": figures(asked, show_choices=mmlu.show_choices)}}, asked

    found = evaluation("mmlu", name, [mmlu, harness], measure, {METRICS: out, ROWS: rows})[name]["mmlu"]
    shown = ", ".join(f"{key} {found[key]:.3f}" for key in SHARES)
    print(f"mmlu {name}: {found['questions']} questions, chance {found['chance']:.3f}; {shown}")


if __name__ == "__main__":
    run(main)
