"""The customer task of this project, as the stage `split` wrote it to data/split."""

from pathlib import Path

from alloy.core.files import read_json, read_jsonl
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import Prompt, PromptTaxonomy

SPLIT_FOLDER = Path("data/split")


def read_taxonomy() -> Taxonomy:
    """Return the taxonomy that comments are labeled with."""
    return Taxonomy.from_rows(read_json(SPLIT_FOLDER / "taxonomy.json"))


def load_task(prompt: Prompt) -> Prompts:
    """Return the prompts of the task.

    The training comments are read only if the prompt has few-shot examples or a shortlist.
    """
    needs_train = prompt.examples > 0 or prompt.taxonomy is PromptTaxonomy.shortlist
    train = read_jsonl(SPLIT_FOLDER / "train.jsonl") if needs_train else []
    return Prompts.from_task(prompt, read_taxonomy(), read_json(SPLIT_FOLDER / "task.json"), train)
