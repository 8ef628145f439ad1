"""Run lm-eval. Answers are stored as they arrive (`answer_log.py`), so that a killed run can be continued."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from alloy.core.files import Row, write_json, write_lines
from alloy.evaluation.answer_log import use_answer_log
from alloy.evaluation.context_limit import FittingTasks
from alloy.runtime.resume import METRICS, ROWS, WorkFolder, hash_inputs, resume_or_reuse

if TYPE_CHECKING:
    from lm_eval.api.model import LM


def run_lm_eval(model: "LM", tasks: list[Any], answers: Path | None = None, **options: object) -> Row:
    """Return lm-eval's results. The file `answers` stores each answer; answers that it already has are reused.

    `tasks` are tasks, or names of tasks that the option `task_manager` knows. Items that do not fit the model's context
    are skipped; `over_context` in the results counts them by task.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    # Without a manager, lm-eval reads the thousands of YAML files of its own tasks in every call, for 8 seconds.
    manager: Any = options.pop("task_manager", None) or TaskManager(include_defaults=False)
    fitting: Any = FittingTasks(manager, model)
    simple: Any = lm_eval.simple_evaluate  # its decorators hide its signature
    with use_answer_log():
        results = simple(
            model=model,
            tasks=tasks,
            task_manager=fitting,
            use_cache=answers and str(answers),
            bootstrap_iters=0,
            **options,
        )
    return {**results, "over_context": fitting.skipped}


def reached_limit(model: Any, answer: str, limit: int) -> int:  # noqa: ANN401 (lm-eval's models share no type with tokenizer)
    """Return 1 if an answer of `model` has at least `limit` tokens, so that it was cut at the limit; otherwise 0.

    The text is encoded again, since lm-eval only keeps the text. The count can differ from the number of generated
    tokens, if the model generated a word as other tokens than its tokenizer does.
    """
    return int(len(model.tokenizer(answer, add_special_tokens=False)["input_ids"]) >= limit)


def run_resumable(
    stage: str, model: str, values: object, measure: Callable[[Path], tuple[Row, list[Row]]], outs: dict[str, Path]
) -> Row:
    """Return the metrics of `model`, and write metrics and rows to `outs`. A finished evaluation is not repeated.

    `measure` is called with the path of the answer log and returns (metrics, rows). `values` are the params that it
    uses.
    """

    def evaluate(work_folder: WorkFolder) -> None:
        metrics, rows = measure(work_folder.path / "answers")

        def write_result(part: Path) -> None:
            write_json(part / METRICS, metrics)
            write_lines(part / ROWS, [orjson.dumps(row) for row in rows] or [b""])  # DVC warns about empty files

        work_folder.write_result(write_result)
        for file in work_folder.path.glob("answers*"):
            file.unlink()

    return resume_or_reuse(f"{stage}-{model}", hash_inputs(stage, values, model), evaluate, outs)
