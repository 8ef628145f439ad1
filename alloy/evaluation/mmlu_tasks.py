"""Multiple-choice questions in MMLU's form, and the lm-eval tasks that ask them.

Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.evaluation.settings import AnswerAs, Mmlu

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

LETTERS = "ABCD"


def groups_of(subjects: Iterable[str]) -> dict[str, list[str]]:
    """Return the subjects of each of MMLU's groups (stem, humanities, ..); a subject that MMLU has not is in none."""
    from lm_eval.tasks.mmlu._generate_configs import SUBJECTS

    groups: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        if subject in SUBJECTS:
            groups[SUBJECTS[subject]].append(subject)
    return dict(sorted(groups.items()))


def lettered(row: Row) -> str:
    """Return the question with its choices A to D, as MMLU writes it."""
    choices = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=True))
    return f"{row['question'].strip()}\n{choices}"


def parse_letter(text: str) -> int | None:
    """Return the choice that a generated answer names, or None: `B`, `(B)`, `B. 4`, `The answer is B`."""
    # An A at the start must stand alone or before punctuation: in `A dog` it is an article.
    start = re.match(r"\W*([B-D](?!['\w])|A(?=\s*$|\s*[^\w\s']|\n|\s+is\b))", text)
    found = start or re.search(r"(?i:answer)(?:\s+is)?\W*([A-D])\b", text)
    return LETTERS.index(found.group(1)) if found else None


def parse_text(text: str, choices: list[str]) -> int | None:
    """Return the choice whose words the generated answer is, case and a final stop aside, or None."""

    def plain(words: str) -> str:
        return words.strip().removesuffix(".").casefold()

    known = [plain(choice) for choice in choices]
    return known.index(plain(text)) if plain(text) in known else None


def likelihood_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that ranks the choices by likelihood.

    Letters are asked as lm-eval's own `mmlu` does; answer texts follow the bare question, in the chat format.
    """
    by_letter = mmlu.answer is AnswerAs.letter
    name = subject.replace("_", " ")
    return _task(
        f"mmlu_{subject}",
        splits,
        mmlu,
        output_type="multiple_choice",
        description=(
            f"The following are multiple choice questions (with answers) about {name}.\n\n" if by_letter else ""
        ),
        doc_to_text=lambda row: f"{lettered(row)}\nAnswer:" if by_letter else row["question"],
        doc_to_choice=list(LETTERS) if by_letter else (lambda row: row["choices"]),
        doc_to_target=lambda row: row["answer"],
        target_delimiter=" " if by_letter else "",
        metric_list=[_mean("acc")],
    )


def generated_task(subject: str, splits: dict[str, list[Row]], mmlu: Mmlu) -> "ConfigurableTask":
    """Return the task that lets the model answer in the chat format: share right, and share that is no answer."""
    by_letter = mmlu.answer is AnswerAs.letter

    def results(row: Row, completions: list[str]) -> dict[str, float]:
        text = completions[0]
        choice = parse_letter(text) if by_letter else parse_text(text, row["choices"])
        return {"generated_acc": float(choice == row["answer"]), "unparsed": float(choice is None)}

    def target(row: Row) -> str:
        return LETTERS[row["answer"]] if by_letter else row["choices"][row["answer"]]

    return _task(
        f"mmlu_{subject}_generated",
        splits,
        mmlu,
        output_type="generate_until",
        doc_to_text=lambda row: f"{lettered(row)}\nAnswer with the letter only." if by_letter else row["question"],
        doc_to_target=target,
        target_delimiter="",
        process_results=results,
        # Greedy by name: lm-eval's backends do not agree on what they do when nothing is said.
        generation_kwargs={"until": [], "max_gen_toks": mmlu.max_new_tokens, "do_sample": False, "temperature": 0.0},
        metric_list=[_mean("generated_acc"), _mean("unparsed")],
    )


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
