"""IFEval: an lm-eval task with prompts whose instructions a program can check, and the metrics of the answers.

Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", arXiv:2311.07911.
"""

from statistics import fmean
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.formats.ifeval_checks import load_instruction_mean, verify_answer

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

TASK = "ifeval"
MODES = ("strict", "loose")  # loose: an answer may also pass without its asterisks, first line or last line


def make_ifeval_task(prompts: list[Row], max_new_tokens: int) -> "ConfigurableTask":
    """Return the task. It checks answers as lm-eval's own `ifeval` does."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    table = Dataset.from_list(prompts)
    prompt_level = [_make_metric(f"prompt_level_{mode}_acc", "mean") for mode in MODES]
    instruction_level = [_make_metric(f"inst_level_{mode}_acc", load_instruction_mean()) for mode in MODES]
    return ConfigurableTask(
        config={
            "task": TASK,
            "custom_dataset": lambda **_: {"test": table},
            "test_split": "test",
            "num_fewshot": 0,
            "output_type": "generate_until",
            "doc_to_text": lambda row: row["prompt"],
            "doc_to_target": lambda _: "",
            # Set explicitly, since the defaults of lm-eval's backends differ.
            "generation_kwargs": {
                "until": [],
                "max_gen_toks": max_new_tokens,
                "do_sample": False,
                "temperature": 0.0,
            },
            "process_results": verify_answer,
            "metric_list": [*prompt_level, *instruction_level],
        }
    )


def _make_metric(name: str, aggregation: Any) -> dict[str, Any]:  # noqa: ANN401 (a name or a function)
    return {"metric": name, "aggregation": aggregation, "higher_is_better": True}


def compute_metrics(samples: list[Row]) -> tuple[Row, list[Row]]:
    """Return (shares of the prompts and instructions that were followed, one row per prompt in the order of the file).

    `samples` are lm-eval's samples, with `doc`, `filtered_resps` and the results of `verify_answer`.
    """
    rows = []
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        row: Row = {"id": str(sample["doc"]["key"])}
        for mode in MODES:
            row[f"prompt_{mode}"] = int(sample[f"prompt_level_{mode}_acc"])
            row[f"instruction_{mode}"] = [int(followed) for followed in sample[f"inst_level_{mode}_acc"]]
        rows.append(
            {**row, "instructions": sample["doc"]["instruction_id_list"], "answer": sample["filtered_resps"][0]}
        )
    shares: Row = {}
    for mode in MODES:
        instructions = [followed for row in rows for followed in row[f"instruction_{mode}"]]
        shares[f"prompt_{mode}"] = round(fmean(row[f"prompt_{mode}"] for row in rows), 4)
        shares[f"instruction_{mode}"] = round(fmean(instructions), 4)
    count = sum(len(row["instructions"]) for row in rows)
    return {"prompts": len(rows), "instructions": count, **shares}, rows
