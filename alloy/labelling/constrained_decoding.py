"""Which token may come next: the grammar of an answer, followed token by token by xgrammar."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from alloy.core.files import Row
from alloy.formats.taxonomy import Taxonomy
from alloy.labelling.answer import Codes
from alloy.labelling.grammar import content_grammar, labels_grammar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

START = 'root ::= "[{\\""'


class Constraints:
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
        self.most_segments = task["most_segments"]
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary)
        self.spelling: list[bytes] = info.decoded_vocab
        for control in tokenizer.added_tokens_decoder:  # a comment may hold its letters, but never the token itself
            self.spelling[control] = b""
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

    def masks(self, rows: int) -> "torch.Tensor":
        """Return (rows, words of 32 tokens), all allowed."""
        return self.xgrammar.allocate_token_bitmask(rows, self.vocabulary)

    def prepare(self, comment: str) -> "Future[Any] | None":
        """Begin to compile what an answer to `comment` may quote."""
        return self.pool.submit(self.compiler.compile_grammar, content_grammar(comment)) if self.quotes else None


class Constraint:
    """Follows one answer through its grammar: the start, then content and labels in turn."""

    def __init__(self, constraints: Constraints, content: "Future[Any] | None") -> None:
        """`content`: what `Constraints.prepare` gave."""
        self.constraints = constraints
        self.content = content
        self.segments = 0
        self.ended = False
        self._begin(constraints.start)

    def _begin(self, compiled: Any) -> None:  # noqa: ANN401 (xgrammar's own)
        self.compiled = compiled
        self.matcher = self.constraints.xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)

    def fill(self, masks: "torch.Tensor", row: int) -> None:
        """Write into `masks[row]` what may come next."""
        self.matcher.fill_next_token_bitmask(masks, row)

    def accept(self, token: int) -> None:
        """Go on behind `token`, which must be allowed; `ended` tells that the answer is whole."""
        if not self.matcher.accept_token(token):
            raise AssertionError(f"token {token} is against the grammar")
        if not self.matcher.is_terminated():
            return
        of = self.constraints
        labels = (of.labels, of.last_labels)
        if self.compiled in labels and of.spelling[token].endswith(b"]"):
            self.ended = True
        elif self.content is not None and self.compiled in (*labels, of.start):
            self._begin(self.content.result())
        else:
            self.segments += 1
            self._begin(labels[self.segments == of.most_segments])


def only_token(mask: "np.ndarray") -> int | None:
    """Return the one token that `mask` (words of 32 tokens) allows, or None where there is a choice."""
    words = np.flatnonzero(mask)
    if len(words) != 1:
        return None
    bits = int(mask[words[0]]) & 0xFFFFFFFF
    return int(words[0]) * 32 + bits.bit_length() - 1 if bits & (bits - 1) == 0 else None
