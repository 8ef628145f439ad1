"""Measure a model's general knowledge on multiple-choice questions, asked in three ways, with lm-eval.

Reads   data/prepared/benchmark/test.jsonl, dev.jsonl; models/<model>
Writes  metrics/mmlu/<model>.json: overall, by MMLU's own groups and by subject;
        metrics/mmlu/<model>.jsonl: `{id, subject, chance, <0 or 1 for each metric>, answer, cut}` per question
Run     dvc repro mmlu@tuned

- `cloze_acc`, `cloze_acc_norm`: the choices are not shown; is the right one the likeliest, in sum and per character?
- `letters_acc`: the choices are shown; is the letter of the right one the likeliest?
- `generated_acc`, `generated_strict`, `unparsed`: does the generated answer name the right choice, is it the right
  choice and nothing else, does it name none?
- `over_context`: how many questions were left out, since they do not fit the model's context in one of the forms.

The stage `compare` picks the headline `mmlu.acc` among the first three, by base (alloy/comparison/formulation.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import Row, write_json, write_jsonl
from alloy.core.settings import load_sections, profile_name
from alloy.core.stage import model_name, run
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.mmlu_tasks import find_fitting_questions, group_subjects, make_forms
from alloy.evaluation.settings import Harness, Mmlu
from alloy.formats.mmlu import Questions, load_questions, require_examples
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

SHARES = ("cloze_acc", "cloze_acc_norm", "letters_acc", "generated_acc", "generated_strict", "unparsed")


def ask(model: "LM", questions: Questions, mmlu: Mmlu, kept: Path | None = None) -> list[Row]:
    """Return `{id, subject, chance, <0 or 1 for each of SHARES>, answer, cut}` per question, in order.

    `chance` is what guessing gives, `answer` the generated text. Answers are kept in the database `kept`. A question
    that does not fit the model's context in one of its forms is left out in all of them.
    """
    numbers = find_fitting_questions(model, questions, mmlu)
    questions = {
        subject: {**questions[subject], "test": [questions[subject]["test"][number] for number in own]}
        for subject, own in numbers.items()
    }
    cloze, letters, generated = (
        _samples(model, tasks, kept, mmlu, chat) for tasks, chat in make_forms(questions, mmlu)
    )
    rows = []
    for subject in questions:
        of_subject = (cloze[f"mmlu_{subject}_cloze"], letters[f"mmlu_{subject}_letters"])
        asked = zip(numbers[subject], *of_subject, generated[f"mmlu_{subject}_generated"], strict=True)
        for number, text, letter, said in asked:
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
                    "cut": reached_limit(model, said["resps"][0][0], mmlu.max_new_tokens),
                }
            )
    return rows


def _samples(model: "LM", tasks: "Sequence[Task]", kept: Path | None, mmlu: Mmlu, chat: bool) -> dict[str, list[Row]]:
    """Return what lm-eval saw of each question, by task, in the order of the questions."""
    asked = {"num_fewshot": mmlu.fewshot, "apply_chat_template": chat, "fewshot_as_multiturn": True}
    results = run_lm_eval(model, [*tasks], kept, log_samples=True, **asked)
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
        "groups": {group: shares(members) for group, members in group_subjects(subjects).items()},
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
    if service := read_hosted_name(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"mmlu {name}: skipped, {service} is hosted and tells no likelihoods")
        return
    questions = load_questions(Path("data/prepared/benchmark"))
    require_examples(questions, mmlu.fewshot, f"profiles/{profile_name()}.yaml")

    def measure(kept: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        asked = ask(open_model(f"models/{name}", harness), questions, mmlu, kept)
        shares = figures(asked, show_choices=mmlu.show_choices)
        total = sum(len(splits["test"][: mmlu.limit]) for splits in questions.values())
        return {name: {"mmlu": {**shares, "over_context": total - len(asked)}}}, asked

    found = run_resumable("mmlu", name, [mmlu, harness], measure, {METRICS: out, ROWS: rows})[name]["mmlu"]
    shown = ", ".join(f"{key} {found[key]:.3f}" for key in SHARES)
    left_out = f" ({found['over_context']} more are over the context)" if found["over_context"] else ""
    print(f"mmlu {name}: {found['questions']} questions{left_out}, chance {found['chance']:.3f}; {shown}")


if __name__ == "__main__":
    run(main)
