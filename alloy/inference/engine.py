"""The interface of all engines: requests in, completions out, and what answers may be constrained to."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from alloy.modeling.chat_template import Messages

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


class Finish(Enum):
    """Why an answer ended.

    By itself, at `max_new_tokens`, because the request is over the model's context, because the service refused, or
    because the service failed, also after retries.
    """

    stop = "stop"
    length = "length"
    context = "context"
    refused = "refused"
    failed = "failed"


UNANSWERED = (Finish.context, Finish.refused, Finish.failed)


@dataclass(frozen=True)
class Request:
    """The messages to answer, and the `source` text that a constraint may let the answer quote."""

    source: str
    messages: Messages


@dataclass(frozen=True)
class Completion:
    """An answer's text, without control tokens, and what it took; `cached_in` of the tokens in were at hand.

    `reason` is what the service said if there is no answer; `sampled`: the service would not answer greedily.
    """

    text: str
    finish: Finish
    tokens_in: int
    cached_in: int
    tokens_out: int
    reason: str = ""
    sampled: bool = False


Done = Callable[[int, Completion], object]  # is given each completion as it ends, with the index of its request


class Matcher(Protocol):
    """Follows one answer token by token; `ended` says that it is complete."""

    ended: bool

    def fill(self, masks: "torch.Tensor", row: int) -> None:
        """Write into `masks[row]` which tokens may come next."""
        ...

    def accept(self, token: int) -> None:
        """Go on after `token`, which must be one of those allowed."""
        ...


class CompiledConstraint(Protocol):
    """A constraint compiled for the vocabulary of one model."""

    def masks(self, rows: int) -> "torch.Tensor":
        """Return (rows, words of 32 tokens), all allowed."""
        ...

    def apply(self, logits: "torch.Tensor", masks: "torch.Tensor") -> None:
        """Set the logits (rows, vocabulary) of tokens that are not allowed to minus infinity, in place."""
        ...

    def prepare(self, source: str) -> Any:  # noqa: ANN401 (for `match`)
        """Begin what an answer to a request with this source needs, in the background."""
        ...

    def match(self, prepared: Any) -> Matcher:  # noqa: ANN401 (what `prepare` returned)
        """Return the matcher of one answer."""
        ...


class Follower(Protocol):
    """Follows one answer, and knows what a grammar cannot say."""

    def accept(self, token: int) -> None:
        """Go on after `token`."""
        ...

    def forbidden(self) -> list[int]:
        """Return tokens that may not come next, unless the grammar allows no others."""
        ...


class Constraint(Protocol):
    """What answers are held to. The caller makes it; engines do not know what it stands for."""

    def grammar(self, source: str) -> str:
        """Return the grammar (EBNF) of the whole answer to a request with this source."""
        ...

    def follow(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> Callable[[], Follower]:
        """Return what makes the follower of one answer, for engines that know the grammar alone."""
        ...

    def compile(self, tokenizer: "PreTrainedTokenizerBase", vocabulary: int) -> CompiledConstraint:
        """Compile it for a model; `vocabulary` may be larger than the tokenizer's."""
        ...


class Engine(Protocol):
    """`complete` answers requests, and gives each completion to `done` as it ends.

    What is wrong with one request never stops the others: its completion says so (`UNANSWERED`).
    """

    def complete(self, requests: list[Request], done: Done) -> list[Completion]:
        """Return one completion per request, in their order."""
        ...
