"""The prompt: a comment becomes chat messages, by the words in prompt.j2."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from stages.chat import Messages
from stages.records import Row
from stages.schema import Prompt, TaxonomyIn
from stages.taxonomy import Taxonomy


@cache
def _template() -> Template:
    text = Path(__file__).with_name("prompt.j2").read_text(encoding="utf-8")
    # The words are for a model, not for HTML: a comment goes in as it is.
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(text)


def prompt_messages(comment: str, prompt: Prompt, taxonomy: Taxonomy, task: Row) -> Messages:
    """Return the messages that ask for the labels of `comment`; what all comments share comes first."""
    keys = [*(["content"] if task["has_content"] else []), *taxonomy.levels, *(["emotion"] if task["emotions"] else [])]
    words = _template().render(
        comment=comment,
        taxonomy=list(taxonomy.leaves.items()) if prompt.taxonomy is TaxonomyIn.full else [],
        keys=keys,
        emotions=task["emotions"],
    )
    return [{"role": "user", "content": words}]
