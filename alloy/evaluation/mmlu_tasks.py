"""MMLU: lm-eval tasks that ask multiple-choice questions in three forms.

- Cloze: the prompt is the question; the choice with the highest likelihood counts.
- Letters: the prompt shows the choices; the letter with the highest likelihood counts.
- Generated: the model answers in the chat format.

Small models are above chance only in the cloze form; larger models do better if they see the choices (Gu et al. 2024,
"OLMES: A Standard for Language Model Evaluations", arXiv:2406.08446). So both forms are run. Questions have the
format of MMLU (Hendrycks et al. 2021, "Measuring Massive Multitask Language Understanding").
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.evaluation.context_limit import find_over_context
from alloy.evaluation.read_choice import LETTERS, read_choice, read_strict
from alloy.evaluation.settings import ClozePrompt, Mmlu
from alloy.formats.mmlu import Questions

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import ConfigurableTask

# lm-eval renders it as a Jinja template. The subject is a variable, so that its name cannot contain template code.
DESCRIPTION = "The following are multiple choice questions (with answers) about {{ subject | replace('_', ' ') }}.\n\n"


def group_subjects(subjects: Iterable[str]) -> dict[str, list[str]]:
    """Return the subjects of each group of MMLU (stem, humanities, ...), without subjects that MMLU does not have."""
    from lm_eval.tasks.mmlu._generate_configs import SUBJECTS

    groups: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        if subject in SUBJECTS:
            groups[SUBJECTS[subject]].append(subject)
    return dict(sorted(groups.items()))


def format_with_letters(row: Row) -> str:
    """Return the question and below it the choices A, B, ..., in the format of MMLU."""
    choices = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=False))
    return f"{row['question'].strip()}\n{choices}"


def make_cloze_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that ranks the texts of the choices by likelihood. The prompt does not show the choices.

    `acc_norm` divides the log-likelihood of a choice by its number of characters, since long choices are less likely
    because of their length. The plain prompt is that of lm-eval's `arc_easy` and `mmlu_continuation`.
    """
    plain = mmlu.cloze is ClozePrompt.plain
    return _make_task(
        f"mmlu_{subject}_cloze",
        splits,
        mmlu,
        output_type="multiple_choice",
        doc_to_text=lambda row: f"Question: {row['question'].strip()}\nAnswer:" if plain else row["question"],
        doc_to_choice=lambda row: row["choices"],
        doc_to_target=lambda row: row["answer"],
        target_delimiter=" " if plain else "",
        metric_list=[_make_mean_metric("acc"), _make_mean_metric("acc_norm")],
    )


def make_letters_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that shows the choices and ranks their letters by likelihood, like lm-eval's own `mmlu`."""
    return _make_task(
        f"mmlu_{subject}_letters",
        splits,
        mmlu,
        output_type="multiple_choice",
        description=DESCRIPTION,
        doc_to_text=lambda row: f"{format_with_letters(row)}\nAnswer:",
        doc_to_choice=lambda row: list(LETTERS[: len(row["choices"])]),
        doc_to_target=lambda row: row["answer"],
        target_delimiter=" ",
        metric_list=[_make_mean_metric("acc")],
    )


def make_generated_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task in which the model answers in the chat format.

    Its metrics are shares of the answers. `generated_acc`: the answer names the right choice (lenient reading).
    `generated_strict`: it is the right choice and nothing else. `unparsed`: it names no choice.
    """
    letters = mmlu.show_choices

    def score_answer(row: Row, completions: list[str]) -> dict[str, float]:
        text = completions[0]
        choice = read_choice(text, row["choices"], letters=letters)
        strict = read_strict(text, row["choices"], letters=letters)
        return {
            "generated_acc": float(choice == row["answer"]),
            "generated_strict": float(strict == row["answer"]),
            "unparsed": float(choice is None),
        }

    def format_target(row: Row) -> str:
        return LETTERS[row["answer"]] if letters else row["choices"][row["answer"]]

    return _make_task(
        f"mmlu_{subject}_generated",
        splits,
        mmlu,
        output_type="generate_until",
        doc_to_text=lambda row: (
            f"{format_with_letters(row)}\nAnswer with the letter only." if letters else row["question"]
        ),
        doc_to_target=format_target,
        target_delimiter="",
        process_results=score_answer,
        # Greedy decoding is set explicitly, since the defaults of lm-eval's backends differ.
        generation_kwargs={"until": [], "max_gen_toks": mmlu.max_new_tokens, "do_sample": False, "temperature": 0.0},
        metric_list=[
            _make_mean_metric("generated_acc"),
            _make_mean_metric("generated_strict"),
            _make_mean_metric("unparsed"),
        ],
    )


def find_fitting_questions(model: "LM", questions: Questions, mmlu: Mmlu) -> dict[str, list[int]]:
    """Return for each subject the indices of the questions that fit the model's context in all three forms.

    Only the first `mmlu.limit` questions of a subject are considered. Subjects without a question that fits are left
    out.
    """
    too_long: dict[str, set[int]] = {subject: set() for subject in questions}
    for tasks, chat in make_forms(questions, mmlu):
        for subject, task in zip(questions, tasks, strict=True):
            task.build_all_requests(
                limit=mmlu.limit,
                apply_chat_template=chat,
                fewshot_as_multiturn=True,
                chat_template=model.apply_chat_template if chat else None,
            )
            too_long[subject] |= find_over_context(model, task.instances)
    fitting = {
        subject: [index for index in range(len(splits["test"][: mmlu.limit])) if index not in too_long[subject]]
        for subject, splits in questions.items()
    }
    if not any(fitting.values()):
        raise InputError(
            "mmlu: no question of the benchmark fits the model's context; lower mmlu.fewshot or mmlu.max_new_tokens in "
            "the profile, or use shorter questions"
        )
    return {subject: indices for subject, indices in fitting.items() if indices}


def make_forms(questions: Questions, mmlu: Mmlu) -> "list[tuple[list[ConfigurableTask], bool]]":
    """Return for each of the three forms (one task per subject, whether the prompts have the chat format)."""
    forms = ((make_cloze_task, mmlu.cloze is ClozePrompt.chat), (make_letters_task, False), (make_generated_task, True))
    return [
        ([make_task(subject, splits, mmlu) for subject, splits in questions.items()], chat) for make_task, chat in forms
    ]


def _make_mean_metric(metric: str) -> dict[str, Any]:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": metric != "unparsed"}


def _make_task(name: str, splits: dict[str, list[Row]], mmlu: Mmlu, **config: object) -> "ConfigurableTask":
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
