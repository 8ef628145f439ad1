"""The section `decontaminate` of params.yaml."""

from typing import ClassVar

from pydantic import Field

from alloy.core.settings import Section


class Decontaminate(Section):
    """A general example is dropped if it shares an n-gram of `ngram_size` words, or a whole question, with a test.

    A question of at least `fuzzy_match_min_words` words also matches if one word is replaced, moved, added or left
    out. `held_out`: the number of other examples that are kept for the general loss and never trained on. It is capped
    at a tenth of these examples; 0: none.
    """

    key = "decontaminate"
    renamed: ClassVar[dict[str, str]] = {"run": "ngram_size", "changed": "fuzzy_match_min_words"}
    ngram_size: int = Field(default=13, ge=5)
    fuzzy_match_min_words: int = Field(default=8, ge=2)
    held_out: int = Field(default=200, ge=0)
