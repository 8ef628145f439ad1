"""lm-eval's checks of IFEval instructions (Zhou et al., 2023, arXiv:2311.07911), offline and deterministic.

They count sentences with NLTK's English Punkt model (Kiss and Strunk, 2006), which lm-eval would download as soon as it
is imported. They detect languages with langdetect, which is random unless it is seeded.
"""

import atexit
import logging
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from alloy.core.files import Row

# The package nltk does not include this data. The package below has a copy of it, and is never imported.
NLTK_DATA_PACKAGE = "llama-index-core"
PUNKT = "tokenizers/punkt_tab/english"
JSON_FORMAT = "detectable_format:json_format"
NLTK_DATA_FOLDER = f"llama_index/core/_static/nltk_cache/{PUNKT}"


@cache
def _prepare_nltk() -> None:
    """Let NLTK find the sentence model before lm-eval looks for it, and seed langdetect."""
    import langdetect
    import nltk

    # A copy, because NLTK rejects hard links, and uv installs files as hard links to its cache.
    folder = tempfile.TemporaryDirectory(prefix="alloy-nltk-")
    atexit.register(folder.cleanup)
    source = Path(str(distribution(NLTK_DATA_PACKAGE).locate_file(NLTK_DATA_FOLDER)))
    shutil.copytree(source, Path(folder.name) / PUNKT, copy_function=shutil.copyfile)
    nltk.data.path.insert(0, folder.name)
    langdetect.DetectorFactory.seed = 0
    # lm-eval counts a text without letters as correct in any language, and logs each one.
    logging.getLogger("lm_eval.tasks.ifeval").setLevel(logging.CRITICAL)


@cache
def load_verifiers() -> dict[str, Any]:
    """Return lm-eval's classes that check answers, by instruction id.

    The check of JSON is replaced in lm-eval's own table: a deeply nested answer such as 2,000 times `[` is not JSON,
    instead of raising a `RecursionError` that would stop the evaluation.
    """
    _prepare_nltk()
    from lm_eval.tasks.ifeval.instructions import JsonFormat
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    class SafeJsonFormat(JsonFormat):
        def check_following(self, value: str) -> bool:
            try:
                return super().check_following(value)
            except RecursionError:
                return False

    INSTRUCTION_DICT[JSON_FORMAT] = SafeJsonFormat
    return INSTRUCTION_DICT


def verify_answer(row: Row, completions: list[str]) -> dict[str, Any]:
    """Return lm-eval's four results for one answer: prompt and instructions followed, strictly and loosely."""
    load_verifiers()
    from lm_eval.tasks.ifeval.utils import process_results

    # lm-eval draws random values for missing arguments. With the prompt's key as seed, the check is deterministic.
    state = random.getstate()
    random.seed(row["key"])
    try:
        return process_results(row, completions)
    finally:
        random.setstate(state)


def load_instruction_mean() -> Callable[[list[list[bool]]], float]:
    """Return lm-eval's function that averages over the instructions of all prompts."""
    _prepare_nltk()
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc

    return agg_inst_level_acc
