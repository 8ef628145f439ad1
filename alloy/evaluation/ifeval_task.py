"""The lm-eval task that gives prompts with instructions that a program can check, and the figures of the answers.

Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023, arXiv:2311.07911.
"""

from statistics import fmean
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.formats.ifeval_checks import instruction_mean, verify_answer

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

TASK = "ifeval"


def instructions_task(prompts: list[Row], max_new_tokens: int) -> "ConfigurableTask":
    """Return the task that gives the prompts and checks the answers as lm-eval's own `ifeval` does."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    table = Dataset.from_list(prompts)
    prompt_level = [_metric(f"prompt_level_{way}_acc", "mean") for way in ("strict", "loose")]
    instruction_level = [_metric(f"inst_level_{way}_acc", instruction_mean()) for way in ("strict", "loose")]
    return ConfigurableTask(
        config={
            "task": TASK,
            "custom_dataset": lambda **_: {"test": table},
            "test_split": "test",
            "num_fewshot": 0,
            "output_type": "generate_until",
            "doc_to_text": lambda row: row["prompt"],
            "doc_to_target": lambda _: "",
            # Greedy by name: lm-eval's backends do not agree on what they do when nothing is said.
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


def _metric(name: str, aggregation: Any) -> dict[str, Any]:  # noqa: ANN401 (a name or a function)
    return {"metric": name, "aggregation": aggregation, "higher_is_better": True}


def figures(samples: list[Row]) -> tuple[Row, list[Row]]:
    """Return the shares of prompts and instructions followed, and a row for each prompt, in the order of the file.

    `samples` are lm-eval's, with `doc`, `filtered_resps` and the results of `verify`.
    """
    rows = []
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        row: Row = {"id": str(sample["doc"]["key"])}
        for way in ("strict", "loose"):
            row[f"prompt_{way}"] = int(sample[f"prompt_level_{way}_acc"])
            row[f"instruction_{way}"] = [int(followed) for followed in sample[f"inst_level_{way}_acc"]]
        rows.append(
            {**row, "instructions": sample["doc"]["instruction_id_list"], "answer": sample["filtered_resps"][0]}
        )
    shares: Row = {}
    for way in ("strict", "loose"):
        followed = [one for row in rows for one in row[f"instruction_{way}"]]
        shares[f"prompt_{way}"] = round(fmean(row[f"prompt_{way}"] for row in rows), 4)
        shares[f"instruction_{way}"] = round(fmean(followed), 4)
    count = sum(len(row["instructions"]) for row in rows)
    return {"prompts": len(rows), "instructions": count, **shares}, rows
