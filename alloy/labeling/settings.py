"""The section `prompt` of params.yaml."""

from enum import Enum

from pydantic import Field

from alloy.core.settings import Section


class PromptTaxonomy(Enum):
    """How much of the taxonomy is in the prompt: nothing, all of it, or the leaves most similar to the comment."""

    none = "none"
    full = "full"
    shortlist = "shortlist"


class LabelFormat(Enum):
    """How prompts and answers write labels: as paths, or as short codes that are expanded afterwards."""

    path = "path"
    code = "code"


class Prompt(Section):
    """Settings of the prompt.

    - `taxonomy`: how much of the taxonomy is in the prompt
    - `shortlist`: number of leaves, if `taxonomy` is `shortlist`
    - `examples`: number of few-shot examples
    - `labels`: how prompts and answers write labels
    """

    key = "prompt"
    taxonomy: PromptTaxonomy = PromptTaxonomy.none
    shortlist: int = Field(default=20, ge=1)
    examples: int = Field(default=0, ge=0)
    labels: LabelFormat = LabelFormat.path
