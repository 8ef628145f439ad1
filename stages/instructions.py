"""Prompts whose instructions a program can check, and the lm-eval task that gives them.

Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023 (IFEval).
"""

import shutil
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from stages.records import InputError, Row, decode_lines
from stages.scale import Ifeval

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

VERDICTS = ("strict", "loose")


def load_prompts(path: Path) -> list[Row]:
    """Return the rows `{key, prompt, instruction_id_list, kwargs}` of a file; one that is not such raises."""
    rows = []
    for number, row in decode_lines(path):
        try:
            if isinstance(row, InputError):
                raise row
            rows.append(check_prompt(row))
        except ValueError as fault:
            raise InputError(f"{path}:{number}: {fault}") from None
    return rows


def check_prompt(row: Row) -> Row:
    """Return the canonical row, arguments that are null left out; raise `ValueError` with the fault and the mend."""
    if type(row.get("key")) not in (int, str):
        raise ValueError("`key` is missing; give each prompt a number or a name of its own")
    if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
        raise ValueError(f"prompt {row['key']}: `prompt` is missing or empty; write what the model is asked")
    names, arguments = row.get("instruction_id_list"), row.get("kwargs")
    if not isinstance(names, list) or not names or not isinstance(arguments, list) or len(arguments) != len(names):
        raise ValueError(f"prompt {row['key']}: give `instruction_id_list` and as many `kwargs`, one object each")
    known = checkers()
    for name, given in zip(names, arguments, strict=True):
        if name not in known:
            raise ValueError(
                f"prompt {row['key']}: there is no instruction '{name}'; known: {', '.join(sorted(known))}"
            )
        if not isinstance(given, dict):
            raise ValueError(
                f"prompt {row['key']}: the kwargs of '{name}' are {given!r}; write an object, {{}} for none"
            )
    given = [{key: value for key, value in one.items() if value is not None} for one in arguments]
    return {"key": row["key"], "prompt": row["prompt"], "instruction_id_list": names, "kwargs": given}


def checkers() -> Row:
    """Return lm-eval's checkers of instructions by their names, made to work without a network and twice alike."""
    import langdetect
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english")
    except LookupError:  # lm-eval would download it; a package that carries it is installed with Alloy
        nltk.data.path.append(_sentence_boundaries().name)
    langdetect.DetectorFactory.seed = 0  # else it draws, and languages of short answers change from run to run
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    return INSTRUCTION_DICT


@cache
def _sentence_boundaries() -> TemporaryDirectory[str]:
    """Return a folder with NLTK's punkt_tab for English: a copy, since NLTK reads no hard link, which uv makes."""
    place = "tokenizers/punkt_tab/english"
    try:
        carried = Path(str(distribution("llama-index-core").locate_file("llama_index/core/_static/nltk_cache")), place)
        copy = TemporaryDirectory(prefix="alloy-nltk-")
        shutil.copytree(carried, Path(copy.name, place))
    except (PackageNotFoundError, FileNotFoundError):
        raise InputError(
            "NLTK's punkt_tab is not here; `python -m nltk.downloader punkt_tab`, or `make` again"
        ) from None
    return copy


def task(prompts: list[Row], ifeval: Ifeval) -> "ConfigurableTask":
    """Return lm-eval's own IFEval over these prompts, greedy."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    checkers()
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc, process_results

    # As places in the list: a table would give every row the arguments of all instructions.
    table = Dataset.from_list([{"place": place} for place in range(len(prompts))])
    metrics: list[dict[str, Any]] = []
    for verdict in VERDICTS:
        metrics.append({"metric": f"prompt_level_{verdict}_acc", "aggregation": "mean", "higher_is_better": True})
        by_instruction = {"metric": f"inst_level_{verdict}_acc", "aggregation": agg_inst_level_acc}
        metrics.append({**by_instruction, "higher_is_better": True})
    return ConfigurableTask(
        config={
            "task": "ifeval",
            "custom_dataset": lambda **_: {"test": table},
            "test_split": "test",
            "num_fewshot": 0,
            "output_type": "generate_until",
            "doc_to_text": lambda row: prompts[row["place"]]["prompt"],
            "doc_to_target": lambda row: "",
            "process_results": lambda row, answers: process_results(prompts[row["place"]], answers),
            "generation_kwargs": {
                "until": [],
                "do_sample": False,
                "temperature": 0.0,
                "max_gen_toks": ifeval.max_new_tokens,
            },
            "metric_list": metrics,
        }
    )


def verdicts(prompt: Row, sample: Row) -> Row:
    """Return a prompt's row: what was followed strictly and loosely, 1 or 0, as a whole and by instruction."""
    row: Row = {"id": str(prompt["key"])}
    for verdict in VERDICTS:
        row[f"prompt_{verdict}"] = int(sample[f"prompt_level_{verdict}_acc"])
        row[f"instruction_{verdict}"] = [int(one) for one in sample[f"inst_level_{verdict}_acc"]]
    return {**row, "instructions": prompt["instruction_id_list"], "answer": sample["resps"][0][0]}


def figures(rows: list[Row]) -> Row:
    """Return the shares of prompts and of instructions that were followed."""
    found: Row = {"prompts": len(rows), "instructions": sum(len(row["instructions"]) for row in rows)}
    for verdict in VERDICTS:
        found[f"prompt_{verdict}"] = round(sum(row[f"prompt_{verdict}"] for row in rows) / len(rows), 4)
        followed = sum(sum(row[f"instruction_{verdict}"]) for row in rows)
        found[f"instruction_{verdict}"] = round(followed / found["instructions"], 4)
    return found
