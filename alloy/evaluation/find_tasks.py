"""The tasks of lm-eval that a profile names: lm-eval's own, and those in profiles/tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import InputError

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

TASKS = Path("profiles/tasks")


def find_tasks(tasks: list[str], profile: str) -> "TaskManager":
    """Return lm-eval's list of tasks; one of `tasks`, which the file `profile` names, that is not there raises."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS))
    if unknown := [task for task in tasks if task not in manager.all_tasks]:
        raise InputError(
            f"{profile}: general: there is no task '{unknown[0]}'; `lm-eval ls tasks` lists lm-eval's, "
            f"yours belong into {TASKS}/"
        )
    return manager
