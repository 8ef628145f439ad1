"""Find the lm-eval tasks that a profile names: lm-eval's own, and those in profiles/tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import InputError

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

TASKS = Path("profiles/tasks")


def find_tasks(tasks: list[str], profile: str) -> "TaskManager":
    """Return lm-eval's task manager. Raise `InputError` if it does not know one of `tasks`; `profile` is their file."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS))
    if unknown := [task for task in tasks if task not in manager.all_tasks]:
        raise InputError(
            f"{profile}: general: unknown task '{unknown[0]}'; `lm-eval ls tasks` lists lm-eval's tasks, and your own "
            f"tasks must be in {TASKS}/"
        )
    return manager
