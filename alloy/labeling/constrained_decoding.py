"""Constrained decoding: xgrammar follows the grammar of an answer and says which tokens are allowed next."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import Codes
from alloy.labeling.grammar import (
    build_answer_grammar,
    build_content_grammar,
    build_labels_grammar,
    can_quote,
    can_quote_in_answer,
    compute_max_segments,
)
from alloy.labeling.no_repeats import NoRepeats, WrittenSegments

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

START = 'root ::= "[{\\""'


@dataclass(frozen=True)
class LabelConstraint:
    """Restricts answers to valid JSON segments of the `task`, with labels of the taxonomy or their `codes`.

    `whole_answers`: the engine needs one grammar of a whole answer per comment (`make_grammar`), not one per part.
    """

    taxonomy: Taxonomy
    task: Row
    codes: Codes | None = None
    whole_answers: bool = False

    def make_grammar(self, source: str) -> str:
        """Return the grammar of a whole answer to a comment."""
        return build_answer_grammar(self.taxonomy, self.task, self.codes, source)

    def allows_any_content(self, source: str) -> bool:
        """Return whether contents may be any text, because a grammar of the comment's quotes takes too long."""
        quotes = can_quote_in_answer(source, self.taxonomy) if self.whole_answers else can_quote(source)
        return bool(self.task["has_content"]) and not quotes

    def compile(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> "CompiledLabelConstraint":
        """Compile the constraint for the tokenizer of a model."""
        return CompiledLabelConstraint(tokenizer, vocabulary, self.taxonomy, self.task, self.codes)

    def make_filter_factory(
        self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int
    ) -> "Callable[[], WrittenSegments]":
        """Return a function that makes the filter of one answer. It forbids repeated segments, which no grammar can."""
        import xgrammar

        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary)
        return NoRepeats(read_token_bytes(info, tokenizer), self.taxonomy, self.task, self.codes).follow_answer


def read_token_bytes(info: Any, tokenizer: "PreTrainedTokenizerBase") -> list[bytes]:  # noqa: ANN401 (TokenizerInfo)
    """Return the bytes of each token; none for control tokens, so that answers cannot contain them."""
    token_bytes: list[bytes] = info.decoded_vocab
    for control in tokenizer.added_tokens_decoder:
        token_bytes[control] = b""
    return token_bytes


class CompiledLabelConstraint:
    """The compiled grammars of one task: one for labels, compiled once, and one per comment for contents."""

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        vocabulary: int,
        taxonomy: Taxonomy,
        task: Row,
        codes: Codes | None = None,
    ) -> None:
        """`vocabulary` is the model's number of tokens, which may be larger than the tokenizer's."""
        import xgrammar

        self.xgrammar: Any = xgrammar
        self.vocabulary = vocabulary
        self.quotes = task["has_content"]
        self.max_segments = compute_max_segments(taxonomy, task)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary)
        self.token_bytes = read_token_bytes(info, tokenizer)
        self.no_repeats = NoRepeats(self.token_bytes, taxonomy, task, codes)
        info = xgrammar.TokenizerInfo(
            self.token_bytes,
            vocab_size=vocabulary,
            stop_token_ids=info.stop_token_ids,
            add_prefix_space=info.add_prefix_space,
        )
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.start = self.compiler.compile_grammar(START)
        self.labels, self.last_labels = (
            self.compiler.compile_grammar(build_labels_grammar(taxonomy, task, codes, last=last))
            for last in (False, True)
        )
        self.pool = ThreadPoolExecutor(1)  # compiles while the model computes
        # The grammar of contents for all comments that are too long to quote; compiled at the first such comment.
        self.any_content: Future[Any] | None = None

    def allocate_masks(self, rows: int) -> "torch.Tensor":
        """Return bitmasks (rows, 32-bit words): one bit per token, all allowed."""
        return self.xgrammar.allocate_token_bitmask(rows, self.vocabulary)

    def apply_masks(self, logits: "torch.Tensor", masks: "torch.Tensor") -> None:
        """Set the logits of all tokens that `masks` forbid to minus infinity."""
        self.xgrammar.apply_token_bitmask_inplace(logits, masks)

    def prepare_source(self, source: str) -> "Future[Any] | None":
        """Start to compile the grammar of contents that quote a comment. Long comments share one for any text."""
        if not self.quotes:
            return None
        if can_quote(source):
            return self.pool.submit(self.compiler.compile_grammar, build_content_grammar(source))
        if self.any_content is None:
            self.any_content = self.pool.submit(self.compiler.compile_grammar, build_content_grammar(None))
        return self.any_content

    def make_matcher(self, prepared: "Future[Any] | None") -> "LabelMatcher":
        """Return the matcher of one answer; `prepared` is the result of `prepare_source`."""
        return LabelMatcher(self, prepared)


class LabelMatcher:
    """Follows one answer through its grammars: the start, then content and labels alternately."""

    def __init__(self, constraint: CompiledLabelConstraint, content: "Future[Any] | None") -> None:
        """`content` is the result of `CompiledLabelConstraint.prepare_source`."""
        self.constraint = constraint
        self.content = content
        self.written_segments = constraint.no_repeats.follow_answer()
        self.segments = 0
        self.ended = False
        self._start_grammar(constraint.start)

    def _start_grammar(self, compiled: Any) -> None:  # noqa: ANN401 (a class of xgrammar)
        self.compiled = compiled
        self.matcher = self.constraint.xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def fill_mask(self, masks: "torch.Tensor", row: int) -> None:
        """Write into `masks[row]` the allowed tokens: those of the grammar, without those that would repeat a segment.

        If that leaves no token, for instance with one label and one word to quote, only the grammar decides.
        """
        self.matcher.fill_next_token_bitmask(masks, row)
        if forbidden := self.written_segments.find_forbidden():
            words = masks[row].numpy().view("uint32")
            allowed = words.copy()
            for token in forbidden:
                words[token // 32] &= ~(1 << token % 32) & 0xFFFFFFFF
            if not words.any():
                words[:] = allowed

    def accept(self, token: int) -> None:
        """Continue after `token`, which must be allowed. `ended` is True when the answer is complete."""
        if not self.matcher.accept_token(token):
            raise AssertionError(f"token {token} is not allowed by the grammar")
        self.written_segments.accept(token)
        if not self.matcher.is_terminated():
            return
        constraint = self.constraint
        labels = (constraint.labels, constraint.last_labels)
        if self.compiled in labels and constraint.token_bytes[token].endswith(b"]"):
            self.ended = True
        elif self.content is not None and self.compiled in (*labels, constraint.start):
            self._start_grammar(self.content.result())
        else:
            self.segments += 1
            self._start_grammar(labels[self.segments == constraint.max_segments])
