"""The prompt: a comment becomes chat messages, by the words in prompt.j2; what all comments share comes first."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from alloy.core.files import InputError, Row
from alloy.core.text import unit_hash
from alloy.formats.comments import parse_comment
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labelling.answer import codes_of, render_answer, render_rows
from alloy.labelling.settings import LabelsAs, Prompt, TaxonomyIn
from alloy.labelling.shortlist import Shortlist
from alloy.modeling.chat_template import Messages

MARK = "\ue000"  # stands for a comment


@cache
def _template() -> Template:
    text = Path(__file__).with_name("prompt.j2").read_text(encoding="utf-8")
    # The words are for a model, not for HTML: a comment goes in as it is.
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(text)


@dataclass(frozen=True)
class Prompts:
    """Makes the prompt of any comment of one task.

    `examples` are the training comments that stand in every prompt; `codes` are what labels are called, or None.
    """

    prompt: Prompt
    taxonomy: Taxonomy
    task: Row
    examples: tuple[Row, ...]
    codes: dict[LabelPath, str] | None
    shortlist: Shortlist | None

    @classmethod
    def of(cls, prompt: Prompt, taxonomy: Taxonomy, task: Row, train: list[Row]) -> "Prompts":
        """Choose the examples among the training comments, and learn from these what a shortlist needs."""
        if prompt.examples and prompt.examples >= len(train):
            raise InputError(
                f"params.yaml: prompt.examples: {prompt.examples}, of {len(train)} training comments; leave some"
            )
        chosen = sorted(train, key=lambda row: (unit_hash(f"example {row['id']}"), row["id"]))[: prompt.examples]
        codes = codes_of(taxonomy) if prompt.labels is LabelsAs.code else None
        shortlist = Shortlist(taxonomy, train) if prompt.taxonomy is TaxonomyIn.shortlist else None
        return cls(prompt, taxonomy, task, tuple(chosen), codes, shortlist)

    def messages(self, comments: list[Row]) -> list[Messages]:
        """Return the messages that ask for the labels of each comment, a row with `id` and `text`.

        A training comment is not among those that its own shortlist is made of.
        """
        if self.shortlist:
            listed = self.shortlist.nearest(comments, self.prompt.shortlist)
            said = [self._words(row["text"], paths) for row, paths in zip(comments, listed, strict=True)]
        else:
            before, behind = self._frame
            said = [f"{before}{row['text']}{behind}" for row in comments]
        return [[{"role": "user", "content": words}] for words in said]

    @cached_property
    def _frame(self) -> tuple[str, str]:
        """What stands before and behind the comment, where that is the same for all."""
        paths = list(self.taxonomy.leaves) if self.prompt.taxonomy is TaxonomyIn.full else None
        before, _, behind = self._words(MARK, paths).rpartition(MARK)  # the comment stands last
        return before, behind

    def _words(self, comment: str, paths: list[LabelPath] | None) -> str:
        labels = ["label"] if self.codes else list(self.taxonomy.levels)
        content, emotions = self.task["has_content"], self.task["emotions"]
        return _template().render(
            comment=comment,
            examples=[{"comment": row["text"], "answer": self.answer(row)} for row in self.examples],
            taxonomy=paths and [((self.codes or {}).get(path), path, self.taxonomy.leaves[path]) for path in paths],
            listed_apart=self.shortlist is not None,
            codes=self.codes,
            keys=[*(["content"] if content else []), *labels, *(["emotion"] if emotions else [])],
            emotions=emotions,
        )

    def answer(self, row: Row) -> str:
        """Return the gold answer to a labelled comment, a row of data/split; without codes it is its segments."""
        if self.codes is None:
            return render_rows(row["segments"])
        return render_answer(parse_comment(row, self.taxonomy).segments, self.taxonomy.levels, self.codes)
