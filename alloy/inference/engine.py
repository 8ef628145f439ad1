"""What answers comments: one small interface, whatever stands behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from alloy.modeling.chat_template import Messages


class Finish(Enum):
    """Why an answer ended: by itself, at `max_new_tokens`, for want of context, or by the service's refusal."""

    stop = "stop"
    length = "length"
    context = "context"
    refused = "refused"


@dataclass(frozen=True)
class Request:
    """One comment, and the messages that ask for its labels."""

    comment: str
    messages: Messages


@dataclass(frozen=True)
class Completion:
    """An answer's text, without control tokens, and what it took; `cached_in` of the tokens in were at hand."""

    text: str
    finish: Finish
    tokens_in: int
    cached_in: int
    tokens_out: int


Grammar = Callable[[str], str]  # from a comment to the EBNF that its answer is held to


class Engine(Protocol):
    """`complete` answers requests in their order, and tells `advance` of each that is done."""

    def complete(self, requests: list[Request], advance: Callable[[int], object]) -> list[Completion]:
        """Return one completion a request."""
        ...
