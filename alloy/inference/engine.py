"""The interface of all engines: requests, completions, and constraints on the answers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from alloy.modeling.chat_template import Messages

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class Finish(Enum):
    """Why an answer ended."""

    stop = "stop"  # the model ended it
    length = "length"  # it reached `max_new_tokens`
    context = "context"  # the request is longer than the model's context
    refused = "refused"  # the service refused to answer
    failed = "failed"  # the service failed, after all retries


UNANSWERED = (Finish.context, Finish.refused, Finish.failed)


@dataclass(frozen=True)
class Request:
    """The messages to answer, and the `source`: the text that the answer may quote, if there is a constraint."""

    source: str
    messages: Messages


@dataclass(frozen=True)
class Completion:
    """The text of an answer, without control tokens, and its token counts.

    `tokens_in` includes `cached_in`, the prompt tokens that came from a cache. `reason` says why there is no answer.
    `sampled` is true if the service does not support greedy decoding.
    """

    text: str
    finish: Finish
    tokens_in: int
    cached_in: int
    tokens_out: int
    reason: str = ""
    sampled: bool = False


OnCompletion = Callable[[int, Completion], object]  # called with (index of the request, completion) when one ends


class Matcher(Protocol):
    """Follows one answer token by token; `ended` is true when the answer is complete."""

    ended: bool

    def fill_mask(self, masks: "torch.Tensor", row: int) -> None:
        """Write the bit mask of the tokens that may come next into `masks[row]`."""
        ...

    def accept(self, token: int) -> None:
        """Advance by `token`, which must be allowed."""
        ...


class CompiledConstraint(Protocol):
    """A constraint compiled for the vocabulary of one model."""

    def allocate_masks(self, rows: int) -> "torch.Tensor":
        """Return bit masks (rows, words of 32 tokens) that allow every token."""
        ...

    def apply_masks(self, logits: "torch.Tensor", masks: "torch.Tensor") -> None:
        """Set the logits (rows, vocabulary) of forbidden tokens to minus infinity, in place."""
        ...

    def prepare_source(self, source: str) -> Any:  # noqa: ANN401 (for `make_matcher`)
        """Start to compile the grammar of a request with this source, in the background."""
        ...

    def make_matcher(self, prepared: Any) -> Matcher:  # noqa: ANN401 (what `prepare_source` returned)
        """Return the matcher for one answer."""
        ...


class TokenFilter(Protocol):
    """Follows one answer and forbids tokens that a grammar cannot forbid, such as those that repeat a segment."""

    def accept(self, token: int) -> None:
        """Advance by `token`."""
        ...

    def find_forbidden(self) -> list[int]:
        """Return the tokens that may not come next. They stay allowed if the grammar allows no others."""
        ...


class Constraint(Protocol):
    """A rule that all answers must follow. The caller makes it; engines do not know its meaning."""

    def make_grammar(self, source: str) -> str:
        """Return the EBNF grammar of the answer to a request with this source."""
        ...

    def make_filter_factory(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> Callable[[], TokenFilter]:
        """Return a function that makes the token filter of one answer, for engines that only take a grammar."""
        ...

    def compile(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> CompiledConstraint:
        """Compile the constraint for a model; its `vocabulary` size may be larger than the tokenizer's."""
        ...


class Engine(Protocol):
    """Answers requests. A request that fails does not stop the others: its completion says so (`UNANSWERED`)."""

    def complete(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """Return one completion per request, in the same order; call `on_completion` with each when it ends."""
        ...
