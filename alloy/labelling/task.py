"""The customer task of this project, as the stage `split` left it in data/split."""

from pathlib import Path

from alloy.core.files import read_json, read_jsonl
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.prompt import Prompts
from alloy.labelling.settings import Prompt, TaxonomyIn

SPLIT = Path("data/split")


def read_taxonomy() -> Taxonomy:
    """Return the taxonomy that comments are labelled by."""
    return Taxonomy.from_rows(read_json(SPLIT / "taxonomy.json"))


def load_task(prompt: Prompt) -> Prompts:
    """Return the taxonomy, what segments have, and how a comment is asked about.

    The training comments are read only if some are shown in prompts, or a shortlist is learned from them.
    """
    learns = prompt.examples > 0 or prompt.taxonomy is TaxonomyIn.shortlist
    train = read_jsonl(SPLIT / "train.jsonl") if learns else []
    return Prompts.of(prompt, read_taxonomy(), read_json(SPLIT / "task.json"), train)
