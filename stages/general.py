"""Run more tasks of lm-eval: those listed in the profile's `general`.

Reads   models/<model>; profiles/tasks/*.yaml (your own tasks); lm-eval's tasks fetch their data from the hub
Writes  metrics/general/<model>.json: `{task metric: value, n: {task metric: items}}`;
        metrics/general/<model>.jsonl: `{id, task, answer, cut}` per generated answer
Run     dvc repro general@tuned
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row, write_json, write_lines
from alloy.core.settings import load_profile_name, load_sections
from alloy.core.stage import read_model_name, run
from alloy.evaluation.find_tasks import find_tasks
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.settings import GeneralTasks, Harness
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM

NO_ROW = b""  # with a line feed: DVC warns about empty files


def collect_metrics(results: Row, tasks: list[str]) -> Row:
    """Return `{"<task> <metric>": value}` of the `tasks` and groups in the profile; of a tag, for all its tasks.

    lm-eval names a metric `<metric>,<filter>`; the filter becomes part of the name unless it is `none`. `n` has the
    number of items of each metric. `over_context`, if present, has the number of items of each task that exceed the
    model's context.
    """
    shares = {**results["results"], **results.get("groups", {})}
    metrics: Row = {}
    counts: dict[str, int] = {}
    for task in tasks if set(tasks) <= shares.keys() else [*shares]:
        for key, value in shares[task].items():
            metric, _, filter_name = key.partition(",")
            if isinstance(value, float) and not metric.endswith("_stderr"):
                name = f"{task} {metric}" + (f" ({filter_name})" if filter_name not in ("", "none") else "")
                metrics[name], counts[name] = round(value, 4), count_items(task, results)
    over_context = {task: count for task, count in results["over_context"].items() if count}
    return {**metrics, "n": counts, **({"over_context": over_context} if over_context else {})}


def count_items(task: str, results: Row) -> int:
    """Return the number of items of a task, or the sum over the tasks of a group."""
    if task in results["n-samples"]:
        return results["n-samples"][task]["effective"]
    return sum(count_items(child, results) for child in results["group_subtasks"][task])


def collect_answers(model: "LM", results: Row) -> list[Row]:
    """Return `{id, task, answer, cut}` per generated answer, from lm-eval's results with samples.

    A task with several filters has one sample per filter. Their answers are the same, so each answer is returned once.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    lm: Any = model  # `max_gen_toks` is not part of lm-eval's interface
    rows: dict[str, Row] = {}
    for task, samples in results["samples"].items():
        if results["configs"][task]["output_type"] != "generate_until":
            continue
        for sample in samples:
            settings: Any = normalize_gen_kwargs(sample["arguments"][0][1], lm.max_gen_toks)
            for number, answer in enumerate(sample["resps"][0]):
                key = f"{task}/{sample['doc_id']}" + (f"/{number}" if number else "")
                rows[key] = {
                    "id": key,
                    "task": task,
                    "answer": answer,
                    "cut": reached_limit(model, answer, settings["max_gen_toks"]),
                }
    return list(rows.values())


def main() -> None:
    """Find the tasks, run them with lm-eval, write metrics and answers."""
    name = read_model_name()
    general, harness = load_sections(GeneralTasks, Harness)
    tasks, file = general.root, f"profiles/{load_profile_name()}.yaml"
    out, rows = Path(f"metrics/general/{name}.json"), Path(f"metrics/general/{name}.jsonl")
    service = read_hosted_name(f"models/{name}")
    if not tasks or service:
        write_json(out, {name: {}})
        write_lines(rows, [NO_ROW])
        print(f"general {name}: skipped, {f'{service} is hosted' if service else f'{file} names no tasks'}")
        return
    manager = find_tasks(tasks, file)

    def measure_tasks(database: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        model = open_model(f"models/{name}", harness)
        options = {"task_manager": manager, "apply_chat_template": True, "fewshot_as_multiturn": True}
        options |= {"gen_kwargs": {"do_sample": False, "temperature": 0.0}}  # the backends have different defaults
        try:
            results = run_lm_eval(model, [*tasks], database, log_samples=True, **options)
        except OSError as error:  # the library `datasets` finds neither the file nor the hub
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{file}: general: cannot load the data of {', '.join(tasks)}: {reason}") from None
        return {name: {"general": collect_metrics(results, tasks)}}, collect_answers(model, results)

    metrics = run_resumable("general", name, [tasks, harness], measure_tasks, {METRICS: out, ROWS: rows})[name][
        "general"
    ]
    shares = ", ".join(f"{key} {metrics[key]:.3f} (n {count})" for key, count in metrics["n"].items())
    left_out = "".join(
        f"; {task}: {n} longer than the context left out" for task, n in metrics.get("over_context", {}).items()
    )
    print(f"general {name}: {shares}{left_out}")


if __name__ == "__main__":
    run(main)
