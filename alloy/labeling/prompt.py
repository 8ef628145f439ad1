"""The prompt: turns a comment into chat messages with the template prompt.j2.

The part that all comments share comes first, so that engines compute it once.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from alloy.core.files import InputError, Row
from alloy.core.text import hash_to_unit_interval
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labeling.answer import assign_codes, render_answer, render_rows
from alloy.labeling.settings import LabelFormat, Prompt, PromptTaxonomy
from alloy.labeling.shortlist import Shortlist
from alloy.modeling.chat_template import Messages

MARK = "\ue000"  # placeholder of the comment


@cache
def _load_template() -> Template:
    text = Path(__file__).with_name("prompt.j2").read_text(encoding="utf-8")
    # No HTML escaping: the prompt is read by a model.
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(text)


@dataclass(frozen=True)
class Prompts:
    """Builds the prompts of one task.

    `examples` are the few-shot comments of every prompt. `codes` are the codes of the labels, or None.
    """

    prompt: Prompt
    taxonomy: Taxonomy
    task: Row
    examples: tuple[Row, ...]
    codes: dict[LabelPath, str] | None
    shortlist: Shortlist | None

    @classmethod
    def from_task(cls, prompt: Prompt, taxonomy: Taxonomy, task: Row, train: list[Row]) -> "Prompts":
        """Choose the few-shot examples among the training comments, and fit the shortlist on all training comments."""
        if prompt.examples and prompt.examples >= len(train):
            raise InputError(
                f"params.yaml: prompt.examples: expected fewer than the {len(train)} training comments, got "
                f"{prompt.examples}; lower prompt.examples"
            )
        chosen = sorted(train, key=lambda row: (hash_to_unit_interval(f"example {row['id']}"), row["id"]))[
            : prompt.examples
        ]
        codes = assign_codes(taxonomy) if prompt.labels is LabelFormat.code else None
        shortlist = Shortlist(taxonomy, train) if prompt.taxonomy is PromptTaxonomy.shortlist else None
        return cls(prompt, taxonomy, task, tuple(chosen), codes, shortlist)

    def build_messages(self, comments: list[Row]) -> list[Messages]:
        """Return the chat messages that ask for the labels of each comment, a row with `id` and `text`.

        A training comment is ignored when its own shortlist is computed.
        """
        if self.shortlist:
            shortlists = self.shortlist.find_nearest(comments, self.prompt.shortlist)
            prompts = [self._render_prompt(row["text"], paths) for row, paths in zip(comments, shortlists, strict=True)]
        else:
            before, after = self._frame
            prompts = [f"{before}{row['text']}{after}" for row in comments]
        return [[{"role": "user", "content": prompt}] for prompt in prompts]

    @cached_property
    def _frame(self) -> tuple[str, str]:
        """The text before and after the comment, if it is the same for all comments."""
        paths = list(self.taxonomy.leaves) if self.prompt.taxonomy is PromptTaxonomy.full else None
        before, _, after = self._render_prompt(MARK, paths).rpartition(MARK)  # the comment comes after the examples
        return before, after

    def _render_prompt(self, comment: str, paths: list[LabelPath] | None) -> str:
        labels = ["label"] if self.codes else list(self.taxonomy.levels)
        content, emotions = self.task["has_content"], self.task["emotions"]
        return _load_template().render(
            comment=comment,
            examples=[{"comment": row["text"], "answer": self.render_gold_answer(row)} for row in self.examples],
            taxonomy=paths and [((self.codes or {}).get(path), path, self.taxonomy.leaves[path]) for path in paths],
            listed_apart=self.shortlist is not None,
            codes=self.codes,
            keys=[*(["content"] if content else []), *labels, *(["emotion"] if emotions else [])],
            emotions=emotions,
        )

    def render_gold_answer(self, row: Row) -> str:
        """Return the gold answer to a labeled comment (a row of data/split): its segments, with codes if used."""
        if self.codes is None:
            return render_rows(row["segments"])
        return render_answer(parse_comment(row, self.taxonomy).segments, self.taxonomy.levels, self.codes)
