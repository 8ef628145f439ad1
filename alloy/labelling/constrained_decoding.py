"""Which token may come next: the grammar of an answer, followed token by token by xgrammar."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.answer import Codes
from alloy.labelling.grammar import answer_grammar, can_quote, content_grammar, labels_grammar, most_segments
from alloy.labelling.no_repeats import NoRepeats, Segments

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

START = 'root ::= "[{\\""'


@dataclass(frozen=True)
class LabelConstraint:
    """Holds answers to segments of the `task` with labels of the taxonomy, paths or their `codes`."""

    taxonomy: Taxonomy
    task: Row
    codes: Codes | None = None

    def make_grammar(self, source: str) -> str:
        """Return the grammar of a whole answer to a comment."""
        return answer_grammar(self.taxonomy, self.task, self.codes, source)

    def frees_content(self, source: str) -> bool:
        """Return whether contents may be any text because this comment is too long for its quotes to be compiled."""
        return bool(self.task["has_content"]) and not can_quote(source)

    def compile(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> "CompiledLabelConstraint":
        """Compile it for a model."""
        return CompiledLabelConstraint(tokenizer, vocabulary, self.taxonomy, self.task, self.codes)

    def make_filter_factory(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> "Callable[[], Segments]":
        """Return what follows an answer and forbids what the grammar cannot: a segment that is there already."""
        import xgrammar

        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary)
        return NoRepeats(spelling_of(info, tokenizer), self.taxonomy, self.task, self.codes).start


def spelling_of(info: Any, tokenizer: "PreTrainedTokenizerBase") -> list[bytes]:  # noqa: ANN401 (TokenizerInfo)
    """Return the bytes of each token; none of control tokens: a comment may hold their letters, never the tokens."""
    spelling: list[bytes] = info.decoded_vocab
    for control in tokenizer.added_tokens_decoder:
        spelling[control] = b""
    return spelling


class CompiledLabelConstraint:
    """The grammars of the answers to one task, compiled: of labels once, of contents for each comment."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        vocabulary: int,
        taxonomy: Taxonomy,
        task: Row,
        codes: Codes | None = None,
    ) -> None:
        """`vocabulary` is the model's, which may be larger than the tokenizer's; labels are paths or their `codes`."""
        import xgrammar

        self.xgrammar: Any = xgrammar
        self.vocabulary = vocabulary
        self.quotes = task["has_content"]
        self.most_segments = most_segments(taxonomy, task)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary)
        self.spelling = spelling_of(info, tokenizer)
        self.no_repeats = NoRepeats(self.spelling, taxonomy, task, codes)
        info = xgrammar.TokenizerInfo(
            self.spelling,
            vocab_size=vocabulary,
            stop_token_ids=info.stop_token_ids,
            add_prefix_space=info.add_prefix_space,
        )
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.start = self.compiler.compile_grammar(START)
        self.labels, self.last_labels = (
            self.compiler.compile_grammar(labels_grammar(taxonomy, task, codes, last=last)) for last in (False, True)
        )
        self.pool = ThreadPoolExecutor(1)  # compiles while the model computes
        self.any_content: Future[Any] | None = None  # of comments that are too long, once one is asked for

    def allocate_masks(self, rows: int) -> "torch.Tensor":
        """Return (rows, words of 32 tokens), all allowed."""
        return self.xgrammar.allocate_token_bitmask(rows, self.vocabulary)

    def apply_masks(self, logits: "torch.Tensor", masks: "torch.Tensor") -> None:
        """Leave no token a chance that `masks` do not allow."""
        self.xgrammar.apply_token_bitmask_inplace(logits, masks)

    def prepare_source(self, source: str) -> "Future[Any] | None":
        """Begin to compile what an answer to a comment may quote; for all long ones together, any text."""
        if not self.quotes:
            return None
        if can_quote(source):
            return self.pool.submit(self.compiler.compile_grammar, content_grammar(source))
        if self.any_content is None:
            self.any_content = self.pool.submit(self.compiler.compile_grammar, content_grammar(None))
        return self.any_content

    def make_matcher(self, prepared: "Future[Any] | None") -> "LabelMatcher":
        """Return what follows one answer; `prepared` is what `prepare_source` gave."""
        return LabelMatcher(self, prepared)


class LabelMatcher:
    """Follows one answer through its grammar: the start, then content and labels in turn."""

    def __init__(self, constraint: CompiledLabelConstraint, content: "Future[Any] | None") -> None:
        """`content`: what `CompiledLabelConstraint.prepare_source` gave."""
        self.constraint = constraint
        self.content = content
        self.written = constraint.no_repeats.start()
        self.segments = 0
        self.ended = False
        self._begin(constraint.start)

    def _begin(self, compiled: Any) -> None:  # noqa: ANN401 (xgrammar's own)
        self.compiled = compiled
        self.matcher = self.constraint.xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def fill_mask(self, masks: "torch.Tensor", row: int) -> None:
        """Write into `masks[row]` what may come next: what the grammar allows, and what ends in no segment twice.

        The grammar decides alone where nothing else would be left, such as with one label and one word to quote.
        """
        self.matcher.fill_next_token_bitmask(masks, row)
        if forbidden := self.written.find_forbidden():
            words = masks[row].numpy().view("uint32")
            allowed = words.copy()
            for token in forbidden:
                words[token // 32] &= ~(1 << token % 32) & 0xFFFFFFFF
            if not words.any():
                words[:] = allowed

    def accept(self, token: int) -> None:
        """Go on behind `token`, which must be allowed; `ended` tells that the answer is whole."""
        if not self.matcher.accept_token(token):
            raise AssertionError(f"token {token} is against the grammar")
        self.written.accept(token)
        if not self.matcher.is_terminated():
            return
        of = self.constraint
        labels = (of.labels, of.last_labels)
        if self.compiled in labels and of.spelling[token].endswith(b"]"):
            self.ended = True
        elif self.content is not None and self.compiled in (*labels, of.start):
            self._begin(self.content.result())
        else:
            self.segments += 1
            self._begin(labels[self.segments == of.most_segments])
