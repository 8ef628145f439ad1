"""Multiple-choice questions in MMLU's form, and the lm-eval tasks that ask them in three ways.

Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021. Gu et al., OLMES, 2024 (arXiv 2406.08446):
small models can be measured in the cloze form only, larger ones do better if they see the choices; so both are asked.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.evaluation.context_limit import over_context
from alloy.evaluation.read_choice import LETTERS, read_choice, read_strict
from alloy.evaluation.settings import ClozePrompt, Mmlu
from alloy.formats.mmlu import Questions

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import ConfigurableTask

# lm-eval renders a description as a Jinja template: the subject is a value in it, and no part of it.
ABOUT = "The following are multiple choice questions (with answers) about {{ subject | replace('_', ' ') }}.\n\n"


def groups_of(subjects: Iterable[str]) -> dict[str, list[str]]:
    """Return the subjects of each of MMLU's groups (stem, humanities, ..); a subject that MMLU has not is in none."""
    from lm_eval.tasks.mmlu._generate_configs import SUBJECTS

    groups: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        if subject in SUBJECTS:
            groups[SUBJECTS[subject]].append(subject)
    return dict(sorted(groups.items()))


def lettered(row: Row) -> str:
    """Return the question with its choices A, B, .. below it, as MMLU writes it."""
    choices = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=False))
    return f"{row['question'].strip()}\n{choices}"


def cloze_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that ranks the texts of the choices, which the prompt does not show, by likelihood.

    `acc_norm` divides the log-likelihood of a choice by its characters: long choices are less likely by their length
    alone. The plain prompt is that of lm-eval's `arc_easy` and `mmlu_continuation`.
    """
    plain = mmlu.cloze is ClozePrompt.plain
    return _task(
        f"mmlu_{subject}_cloze",
        splits,
        mmlu,
        output_type="multiple_choice",
        doc_to_text=lambda row: f"Question: {row['question'].strip()}\nAnswer:" if plain else row["question"],
        doc_to_choice=lambda row: row["choices"],
        doc_to_target=lambda row: row["answer"],
        target_delimiter=" " if plain else "",
        metric_list=[_mean("acc"), _mean("acc_norm")],
    )


def letters_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that shows the choices and ranks their letters by likelihood, as lm-eval's own `mmlu` does."""
    return _task(
        f"mmlu_{subject}_letters",
        splits,
        mmlu,
        output_type="multiple_choice",
        description=ABOUT,
        doc_to_text=lambda row: f"{lettered(row)}\nAnswer:",
        doc_to_choice=lambda row: list(LETTERS[: len(row["choices"])]),
        doc_to_target=lambda row: row["answer"],
        target_delimiter=" ",
        metric_list=[_mean("acc")],
    )


def generated_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that lets the model answer in the chat format.

    Its metrics: `generated_acc`, the share of answers that name the right choice, read leniently; `generated_strict`,
    of those that are the right choice and nothing else; `unparsed`, of those that name no choice.
    """
    letters = mmlu.show_choices

    def results(row: Row, completions: list[str]) -> dict[str, float]:
        text = completions[0]
        choice = read_choice(text, row["choices"], letters=letters)
        strict = read_strict(text, row["choices"], letters=letters)
        return {
            "generated_acc": float(choice == row["answer"]),
            "generated_strict": float(strict == row["answer"]),
            "unparsed": float(choice is None),
        }

    def target(row: Row) -> str:
        return LETTERS[row["answer"]] if letters else row["choices"][row["answer"]]

    return _task(
        f"mmlu_{subject}_generated",
        splits,
        mmlu,
        output_type="generate_until",
        doc_to_text=lambda row: f"{lettered(row)}\nAnswer with the letter only." if letters else row["question"],
        doc_to_target=target,
        target_delimiter="",
        process_results=results,
        # Greedy by name: lm-eval's backends do not agree on what they do when nothing is said.
        generation_kwargs={"until": [], "max_gen_toks": mmlu.max_new_tokens, "do_sample": False, "temperature": 0.0},
        metric_list=[_mean("generated_acc"), _mean("generated_strict"), _mean("unparsed")],
    )


def fitting_questions(model: "LM", questions: Questions, mmlu: Mmlu) -> dict[str, list[int]]:
    """Return the indices of the questions of each subject that fit the model's context in all forms.

    Of each subject the first `mmlu.limit` questions are looked at; a subject of which none fits is absent.
    """
    over: dict[str, set[int]] = {subject: set() for subject in questions}
    for tasks, chat in forms_of(questions, mmlu):
        for subject, task in zip(questions, tasks, strict=True):
            task.build_all_requests(
                limit=mmlu.limit,
                apply_chat_template=chat,
                fewshot_as_multiturn=True,
                chat_template=model.apply_chat_template if chat else None,
            )
            over[subject] |= over_context(model, task.instances)
    numbers = {
        subject: [number for number in range(len(splits["test"][: mmlu.limit])) if number not in over[subject]]
        for subject, splits in questions.items()
    }
    if not any(numbers.values()):
        raise InputError(
            "mmlu: no question of the benchmark fits the model's context; lower mmlu.fewshot or mmlu.max_new_tokens in "
            "the profile, or take shorter questions"
        )
    return {subject: own for subject, own in numbers.items() if own}


def forms_of(questions: Questions, mmlu: Mmlu) -> "list[tuple[list[ConfigurableTask], bool]]":
    """Return the tasks of each form of the questions, by subject, and whether it is asked in the chat format."""
    forms = ((cloze_task, mmlu.cloze is ClozePrompt.chat), (letters_task, False), (generated_task, True))
    return [([make(subject, splits, mmlu) for subject, splits in questions.items()], chat) for make, chat in forms]


def _mean(metric: str) -> dict[str, Any]:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": metric != "unparsed"}


def _task(name: str, splits: dict[str, list[Row]], mmlu: Mmlu, **config: object) -> "ConfigurableTask":
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    tables = {split: Dataset.from_list(rows) for split, rows in splits.items() if rows}
    return ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": lambda **_: tables,
            "test_split": "test",
            "fewshot_split": "dev",
            "fewshot_config": {"sampler": "first_n"},
            "num_fewshot": mmlu.fewshot,
            **config,
        }
    )
