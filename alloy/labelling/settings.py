"""The section `prompt` of params.yaml."""

from enum import Enum

from pydantic import Field

from alloy.core.settings import Section


class TaxonomyIn(Enum):
    """How much of the taxonomy the prompt carries: nothing, all of it, or the leaves most like the comment."""

    none = "none"
    full = "full"
    shortlist = "shortlist"


class LabelsAs(Enum):
    """What labels are in prompt and answer: their paths, or short codes that are expanded after."""

    path = "path"
    code = "code"


class Prompt(Section):
    """What a comment is wrapped in; `shortlist`: how many leaves, where `taxonomy` is that; `examples`: few-shot."""

    key = "prompt"
    taxonomy: TaxonomyIn = TaxonomyIn.none
    shortlist: int = Field(default=20, ge=1)
    examples: int = Field(default=0, ge=0)
    labels: LabelsAs = LabelsAs.path
