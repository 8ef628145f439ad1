"""Ask a model through lm-eval so that a kill costs no answer: they are kept as they come (`answer_log.py`)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from alloy.core.files import Row, write_json, write_lines
from alloy.evaluation.answer_log import kept_answers
from alloy.evaluation.context_limit import FittingTasks
from alloy.runtime.resume import METRICS, ROWS, WorkFolder, hash_inputs, resume_or_reuse

if TYPE_CHECKING:
    from lm_eval.api.model import LM


def evaluate(model: "LM", tasks: list[Any], kept: Path | None = None, **options: object) -> Row:
    """Return lm-eval's results; what was answered before is taken from `kept`, a file that grows as it goes.

    `tasks` are tasks, or names of tasks that the option `task_manager` knows. Items that do not fit the model's context
    are left out; `over_context` counts them, by task.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    # Without a manager, lm-eval reads the thousands of YAML files of its own tasks at every call: 8 seconds.
    manager: Any = options.pop("task_manager", None) or TaskManager(include_defaults=False)
    fitting: Any = FittingTasks(manager, model)
    simple: Any = lm_eval.simple_evaluate  # its decorators hide its signature
    with kept_answers():
        results = simple(
            model=model, tasks=tasks, task_manager=fitting, use_cache=kept and str(kept), bootstrap_iters=0, **options
        )
    return {**results, "over_context": fitting.left_out}


def cut_at(model: Any, answer: str, limit: int) -> int:  # noqa: ANN401 (lm-eval's models share no type with tokenizer)
    """Return 1 if an answer of `model` has `limit` tokens or more, so that it ended at the limit; else 0.

    The tokens are counted again, since lm-eval keeps the text of an answer only. The count can differ from
    that of generation if a model writes a word in other pieces than its tokenizer.
    """
    return int(len(model.tokenizer(answer, add_special_tokens=False)["input_ids"]) >= limit)


def evaluation(
    stage: str, model: str, values: object, measure: Callable[[Path], tuple[Row, list[Row]]], outs: dict[str, Path]
) -> Row:
    """Return the metrics of `model`, and put what was measured at `outs`; a finished one is not done again.

    `measure` returns metrics and rows, and is told where to keep answers; `values` are the params that it uses.
    """

    def do(place: WorkFolder) -> None:
        metrics, rows = measure(place.path / "answers")

        def write(part: Path) -> None:
            write_json(part / METRICS, metrics)
            write_lines(part / ROWS, [orjson.dumps(row) for row in rows] or [b""])  # DVC warns of a file of no byte

        place.write_result(write)
        for file in place.path.glob("answers*"):
            file.unlink()

    return resume_or_reuse(f"{stage}-{model}", hash_inputs(stage, values, model), do, outs)
