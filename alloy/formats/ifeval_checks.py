"""lm-eval's verifiers of IFEval (Zhou et al., 2023, arXiv:2311.07911), ready without a network and always of one mind.

They count sentences by NLTK's English Punkt model (Kiss and Strunk, 2006), for which lm-eval would go to the network as
soon as it is imported, and know languages by langdetect, which draws at random unless it is seeded.
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

# NLTK's data is in no package of NLTK's own; this one carries it. The package itself is never imported.
CARRIER = "llama-index-core"
PUNKT = "tokenizers/punkt_tab/english"
CACHE = f"llama_index/core/_static/nltk_cache/{PUNKT}"


@cache
def _prepare() -> None:
    """Let NLTK find the sentence model, before lm-eval looks for it, and seed langdetect."""
    import langdetect
    import nltk

    # A copy, since NLTK refuses a file with more than one name, and uv links those it installs to its cache.
    folder = tempfile.TemporaryDirectory(prefix="alloy-nltk-")
    atexit.register(folder.cleanup)
    source = Path(str(distribution(CARRIER).locate_file(CACHE)))
    shutil.copytree(source, Path(folder.name) / PUNKT, copy_function=shutil.copyfile)
    nltk.data.path.insert(0, folder.name)
    langdetect.DetectorFactory.seed = 0
    # A text without letters has no language; lm-eval counts it as right, and says so of each.
    logging.getLogger("lm_eval.tasks.ifeval").setLevel(logging.CRITICAL)


def verifiers() -> dict[str, Any]:
    """Return lm-eval's verifier classes by the id of their instruction."""
    _prepare()
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    return INSTRUCTION_DICT


def verify(row: Row, completions: list[str]) -> dict[str, Any]:
    """Return lm-eval's four results of one answer: prompt and instructions followed, strictly and loosely."""
    _prepare()
    from lm_eval.tasks.ifeval.utils import process_results

    # lm-eval draws at random what a prompt leaves open; seeded by its key, a prompt is always checked alike.
    state = random.getstate()
    random.seed(row["key"])
    try:
        return process_results(row, completions)
    finally:
        random.setstate(state)


def instruction_mean() -> Callable[[list[list[bool]]], float]:
    """Return lm-eval's mean over the instructions of all prompts."""
    _prepare()
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc

    return agg_inst_level_acc
