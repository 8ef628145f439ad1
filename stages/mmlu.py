"""Measure a model's general knowledge with lm-eval, on multiple-choice questions that are asked in three forms.

Reads   data/prepared/benchmark/test.jsonl, dev.jsonl; models/<model>
Writes  metrics/mmlu/<model>.json: overall, by MMLU's own groups and by subject;
        metrics/mmlu/<model>.jsonl: `{id, subject, chance, <0 or 1 for each metric>, answer, cut}` per question
Run     dvc repro mmlu@tuned

- `cloze_acc`, `cloze_acc_norm`: the choices are not shown. Is the right one the most likely, in total or per character?
- `letters_acc`: the choices are shown. Is the letter of the right one the most likely?
- `generated_acc`, `generated_strict`, `unparsed`: the model generates an answer. Does it name the right choice? Is it
  only the right choice? Does it name no choice?
- `over_context`: the number of questions left out because they do not fit the model's context in one of the forms.

The stage `compare` chooses `cloze_acc`, `cloze_acc_norm` or `letters_acc` as the headline `mmlu.acc`
(alloy/comparison/formulation.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import Row, write_json, write_jsonl
from alloy.core.settings import load_profile_name, load_sections
from alloy.core.stage import read_model_name, run
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.mmlu_tasks import find_fitting_questions, group_subjects, make_forms
from alloy.evaluation.settings import Harness, Mmlu
from alloy.formats.mmlu import Questions, load_questions, require_examples
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task

METRIC_KEYS = ("cloze_acc", "cloze_acc_norm", "letters_acc", "generated_acc", "generated_strict", "unparsed")


def ask_questions(model: "LM", questions: Questions, mmlu: Mmlu, database: Path | None = None) -> list[Row]:
    """Return `{id, subject, chance, <0 or 1 for each of METRIC_KEYS>, answer, cut}` per question, in order.

    `chance` is the accuracy of guessing, `answer` the generated text. Answers are cached in `database`, so an
    interrupted run can continue. A question that does not fit the model's context in one form is left out in all forms.
    """
    numbers = find_fitting_questions(model, questions, mmlu)
    questions = {
        subject: {**questions[subject], "test": [questions[subject]["test"][number] for number in subject_numbers]}
        for subject, subject_numbers in numbers.items()
    }
    cloze, letters, generated = (
        _run_form(model, tasks, database, mmlu, chat) for tasks, chat in make_forms(questions, mmlu)
    )
    rows = []
    for subject in questions:
        likelihood_samples = (cloze[f"mmlu_{subject}_cloze"], letters[f"mmlu_{subject}_letters"])
        results = zip(numbers[subject], *likelihood_samples, generated[f"mmlu_{subject}_generated"], strict=True)
        for number, cloze_sample, letters_sample, generated_sample in results:
            rows.append(
                {
                    "id": f"{subject}/{number}",
                    "subject": subject,
                    "chance": 1 / len(cloze_sample["doc"]["choices"]),
                    "cloze_acc": int(cloze_sample["acc"]),
                    "cloze_acc_norm": int(cloze_sample["acc_norm"]),
                    "letters_acc": int(letters_sample["acc"]),
                    **{key: int(generated_sample[key]) for key in ("generated_acc", "generated_strict", "unparsed")},
                    "answer": generated_sample["resps"][0][0],
                    "cut": reached_limit(model, generated_sample["resps"][0][0], mmlu.max_new_tokens),
                }
            )
    return rows


def _run_form(
    model: "LM", tasks: "Sequence[Task]", database: Path | None, mmlu: Mmlu, chat: bool
) -> dict[str, list[Row]]:
    """Ask the questions in one form; return lm-eval's samples by task, in the order of the questions."""
    options = {"num_fewshot": mmlu.fewshot, "apply_chat_template": chat, "fewshot_as_multiturn": True}
    results = run_lm_eval(model, [*tasks], database, log_samples=True, **options)
    return {name: sorted(samples, key=lambda sample: sample["doc_id"]) for name, samples in results["samples"].items()}


def compute_metrics(rows: list[Row], *, show_choices: bool) -> Row:
    """Return the metrics over all questions, over each of MMLU's groups and over each subject.

    `generated_chance` is 0 unless the prompt shows the choices: a choice that is not shown cannot be guessed.
    """
    subjects = dict.fromkeys(row["subject"] for row in rows)

    def average_subjects(members: Iterable[str]) -> Row:
        return _average_rows([row for row in rows if row["subject"] in members], show_choices)

    return {
        **average_subjects(subjects),
        "groups": {group: average_subjects(members) for group, members in group_subjects(subjects).items()},
        "subjects": {subject: average_subjects([subject]) for subject in subjects},
    }


def _average_rows(rows: list[Row], show_choices: bool) -> Row:
    means = {key: round(sum(row[key] for row in rows) / len(rows), 4) for key in ("chance", *METRIC_KEYS)}
    return {"questions": len(rows), "generated_chance": means["chance"] if show_choices else 0.0, **means}


def main() -> None:
    """Load the model and the questions, ask the questions in all forms, and write rows and metrics."""
    name = read_model_name()
    mmlu, harness = load_sections(Mmlu, Harness)
    out, rows = Path(f"metrics/mmlu/{name}.json"), Path(f"metrics/mmlu/{name}.jsonl")
    if service := read_hosted_name(f"models/{name}"):
        write_json(out, {name: {}})
        write_jsonl(rows, [])
        print(f"mmlu {name}: skipped, {service} is hosted and returns no likelihoods")
        return
    questions = load_questions(Path("data/prepared/benchmark"))
    require_examples(questions, mmlu.fewshot, f"profiles/{load_profile_name()}.yaml")

    def measure_questions(database: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        question_rows = ask_questions(open_model(f"models/{name}", harness), questions, mmlu, database)
        averages = compute_metrics(question_rows, show_choices=mmlu.show_choices)
        total = sum(len(splits["test"][: mmlu.limit]) for splits in questions.values())
        return {name: {"mmlu": {**averages, "over_context": total - len(question_rows)}}}, question_rows

    metrics = run_resumable("mmlu", name, [mmlu, harness], measure_questions, {METRICS: out, ROWS: rows})[name]["mmlu"]
    values = ", ".join(f"{key} {metrics[key]:.3f}" for key in METRIC_KEYS)
    left_out = f" ({count} longer than the context left out)" if (count := metrics["over_context"]) else ""
    print(f"mmlu {name}: {metrics['questions']} questions{left_out}, chance {metrics['chance']:.3f}; {values}")


if __name__ == "__main__":
    run(main)
