"""Run other tasks of lm-eval: those that the profile's `general` names.

Reads   models/<model>; profiles/tasks/*.yaml, tasks of your own; lm-eval's tasks fetch their data from the hub
Writes  metrics/general/<model>.json: `{task metric: value, n: {task metric: items}}`;
        metrics/general/<model>.jsonl: `{id, task, answer, cut}` per generated answer
Run     dvc repro general@tuned
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row, write_json, write_lines
from alloy.core.settings import load_sections, profile_name
from alloy.core.stage import model_name, run
from alloy.evaluation.find_tasks import find_tasks
from alloy.evaluation.lm_eval_run import reached_limit, run_lm_eval, run_resumable
from alloy.evaluation.settings import GeneralTasks, Harness
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.resume import METRICS, ROWS

if TYPE_CHECKING:
    from lm_eval.api.model import LM

NO_ROW = b""  # a file of no byte would make DVC warn


def figures(results: Row, named: list[str]) -> Row:
    """Return `<task> <metric>` and its value for each task and group that was `named`; of a tag, for all its tasks.

    lm-eval calls a metric `<metric>,<filter>`; the filter is said where it is one. `n` has the number of items of each
    metric; `over_context`, if there are any, how many items of each task do not fit the model's context.
    """
    shares = {**results["results"], **results.get("groups", {})}
    found: Row = {}
    counts: dict[str, int] = {}
    for task in named if set(named) <= shares.keys() else [*shares]:
        for key, value in shares[task].items():
            metric, _, way = key.partition(",")
            if isinstance(value, float) and not metric.endswith("_stderr"):
                name = f"{task} {metric}" + (f" ({way})" if way not in ("", "none") else "")
                found[name], counts[name] = round(value, 4), items_of(task, results)
    over = {task: count for task, count in results["over_context"].items() if count}
    return {**found, "n": counts, **({"over_context": over} if over else {})}


def items_of(task: str, results: Row) -> int:
    """Return how many items a task was measured on; a group has those of its tasks."""
    if task in results["n-samples"]:
        return results["n-samples"][task]["effective"]
    return sum(items_of(child, results) for child in results["group_subtasks"][task])


def answers(model: "LM", results: Row) -> list[Row]:
    """Return `{id, task, answer, cut}` per generated answer, of lm-eval's results with samples.

    A task with several filters has a sample per filter; their answers are the same, and are taken once.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    asked: Any = model  # its default length is not a part of lm-eval's interface
    found: dict[str, Row] = {}
    for task, samples in results["samples"].items():
        if results["configs"][task]["output_type"] != "generate_until":
            continue
        for sample in samples:
            settings: Any = normalize_gen_kwargs(sample["arguments"][0][1], asked.max_gen_toks)
            for number, answer in enumerate(sample["resps"][0]):
                key = f"{task}/{sample['doc_id']}" + (f"/{number}" if number else "")
                found[key] = {
                    "id": key,
                    "task": task,
                    "answer": answer,
                    "cut": reached_limit(model, answer, settings["max_gen_toks"]),
                }
    return list(found.values())


def main() -> None:
    """Look the tasks up, load, ask, write."""
    name = model_name()
    general, harness = load_sections(GeneralTasks, Harness)
    tasks, file = general.root, f"profiles/{profile_name()}.yaml"
    out, rows = Path(f"metrics/general/{name}.json"), Path(f"metrics/general/{name}.jsonl")
    service = read_hosted_name(f"models/{name}")
    if not tasks or service:
        write_json(out, {name: {}})
        write_lines(rows, [NO_ROW])
        print(f"general {name}: skipped, {f'{service} is hosted' if service else f'{file} names no tasks'}")
        return
    manager = find_tasks(tasks, file)

    def measure(kept: Path) -> tuple[Row, list[Row]]:
        from alloy.evaluation.lm_eval_model import open_model

        model = open_model(f"models/{name}", harness)
        asked = {"task_manager": manager, "apply_chat_template": True, "fewshot_as_multiturn": True}
        asked |= {"gen_kwargs": {"do_sample": False, "temperature": 0.0}}  # backends do not agree when nothing is said
        try:
            results = run_lm_eval(model, [*tasks], kept, log_samples=True, **asked)
        except OSError as error:  # the library datasets finds neither file nor hub
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{file}: general: the data of {', '.join(tasks)} is not to be had: {reason}") from None
        return {name: {"general": figures(results, tasks)}}, answers(model, results)

    found = run_resumable("general", name, [tasks, harness], measure, {METRICS: out, ROWS: rows})[name]["general"]
    shares = ", ".join(f"{key} {found[key]:.3f} (n {count})" for key, count in found["n"].items())
    left_out = "".join(
        f"; {task}: {n} over the context are left out" for task, n in found.get("over_context", {}).items()
    )
    print(f"general {name}: {shares}{left_out}")


if __name__ == "__main__":
    run(main)
