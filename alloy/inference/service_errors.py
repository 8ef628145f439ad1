"""Errors of a service: do they concern one request, the rate of all requests, or the whole job?

Services share few error codes, so the texts of messages are matched too. The patterns cover OpenAI, Azure, Gemini,
llama.cpp, vLLM, TGI, Anthropic, Qwen, and Claude, Llama and Nova on Bedrock. tests/inference/test_service_errors.py has
examples. A message may quote the comment, whose words say nothing about the error: they are removed first.
"""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from alloy.core.redact import redact

MAX_RETRY_AFTER = 600.0  # seconds; a longer wait is only reported, and the request is sent again earlier
ECHO_WORDS = 4  # so many words of the request in a row are a quotation
MAX_COUNT = 2**53  # JSON readers do not keep larger numbers exactly
LONGEST_MESSAGE = 20_000  # characters of an error that are read
QUOTED_KEYS = ("input", "ctx")  # in errors of pydantic: what the request contained
T = TypeVar("T")


class ErrorKind(Enum):
    """What to do about an error."""

    # Only this request has no answer:
    context = "context"  # it is longer than the model's context
    refused = "refused"  # the service refuses to answer it
    failed = "failed"  # it is invalid for another reason
    # Only this request has no answer, unless the service answers no request (alloy/inference/service.py):
    misconfigured = "misconfigured"  # wrong model, address or permissions, or the text of the request is blocked
    malformed = "malformed"  # the reply is not an answer, such as a web page; send the request again
    # Send the request again:
    retry = "retry"  # after a while: the error may be temporary
    busy = "busy"  # and slow down all requests: the rate was too high
    unreachable = "unreachable"  # no connection; stop the job if there never was one
    # Stop the job:
    fatal = "fatal"  # an invalid key or no credit: no request can succeed


TEMPORARY = (ErrorKind.retry, ErrorKind.busy, ErrorKind.unreachable)


@dataclass
class ServiceError(Exception):
    """An error of a service. `retry_after` is in seconds, and None if the service does not say.

    `status` and `message` are those of the service; the message does not quote the request.
    """

    kind: ErrorKind
    reason: str
    retry_after: float | None = None
    status: int = 0
    message: str = ""

    def __post_init__(self) -> None:
        """Make the reason one printable line without secrets, and drop a wait that is too long."""
        self.reason = format_one_line(self.reason)
        if self.retry_after is not None and not self.retry_after <= MAX_RETRY_AFTER:
            self.reason += f" (the service asks to wait {self.retry_after:.0f} seconds)"
            self.retry_after = None


CONTEXT = re.compile(
    r"context[ _-]?(length|window|size|limit)"  # OpenAI, Azure, vLLM, llama.cpp, Anthropic, Llama on Bedrock
    r"|(prompt|input|request|message|text|string)s?( is| are)? too (long|large)"  # Claude, Bedrock, OpenAI
    r"|too many (input |total )?(tokens|text bytes)"
    r"|input[ _]tokens?[ _](exceeded|count|limit)"  # Nova, Gemini
    r"|(?<!generated )(exceeds?|exceeding) (the )?maximum (number of (input |prompt )?tokens|length)"  # Gemini, Bedrock
    r"|number of (input |prompt )?tokens (?!that can be generated).{0,40}exceed"  # Nova
    r"|(prompt|sequence)( length)? exceeds|payload size exceeds|tokens .{0,40}exceed max message tokens"
    r"|token limit exceeded|exceed\w* (the )?(model|total|input) token limit"  # Bedrock, Moonshot
    r"|(longer|larger|greater) than the (maximum )?(model|context|prompt|input)"  # vLLM
    r"|reduce (the|your) (length|size) of (the |your )?(input|prompt|messages?|text|completion|request)"  # OpenAI, Groq
    r"|\d+ (input |prompt )?tokens,? but the (maximum|limit)|range of input length"  # vLLM, Qwen
    r"|tokens`? \+ `?max_new_tokens`? must be <=|max(_completion)?_tokens must be at least 1, got -"  # TGI, vLLM
    r"|exceeds the maximum allowed length"  # SGLang
    r"|must have less than \d+ tokens|context shift is disabled"  # TGI, llama.cpp
    r"|max_model_len|max_seq_len|maximum (model|prompt|input|sequence) length"
    r"|expected max_?length: \d+, actual"  # older models on Bedrock
    r"|exceed_context_size|string_above_max_length|request_too_large",
    re.IGNORECASE,
)
TOO_LARGE_FOR_RATE = re.compile(r"request too large|limit:? \d+, requested:? \d+", re.IGNORECASE)  # OpenAI, Groq
REFUSED = re.compile(
    r"content[ _-]?(filter|policy|management policy|moderation)|ResponsibleAIPolicyViolation"
    r"|(requires|by|failed|blocked) (the )?moderation|flagged (as|for|by)|moderation_blocked"
    r"|usage polic|safety (system|filter|settings)|PROHIBITED_CONTENT|blocked by .{0,30}guardrail"
    r"|inappropriate content|data_inspection_failed|content exists risk|敏感内容",
    re.IGNORECASE,
)
THROTTLED = re.compile(
    r"Throttl|TooManyRequests|rate_?limit|overloaded|SlowDown|ModelNotReady|ServiceUnavailable|RESOURCE_EXHAUSTED"
    r"|ServiceQuotaExceeded",
    re.IGNORECASE,
)
NO_ACCOUNT = re.compile(
    r"insufficient_quota|insufficient.balance|credit balance|billing_hard_limit|account_deactivated|invalid_api_key"
    r"|API_KEY_INVALID|API key not valid|invalid api key|ExpiredToken|UnrecognizedClient|InvalidSignature"
    r"|InvalidClientTokenId|MissingAuthenticationToken|IncompleteSignature|authentication_error",
    re.IGNORECASE,
)
# The first words of messages with status 400, whose codes say nothing: Gemini, Anthropic.
NO_ACCOUNT_400 = re.compile(r"API key (not valid|expired)|Your credit balance is too low to access", re.IGNORECASE)
NO_MODEL = re.compile(
    r"model_not_found|model identifier is invalid|on-demand throughput|unsupported model|model .{0,80}does not exist"
    r"|not a valid model|unknown model|DeploymentNotFound|location is not supported",
    re.IGNORECASE,
)
UNSUPPORTED = re.compile(
    r"unsupported|not supported|(does not|doesn.t|not) support|deprecated|not permitted|unrecognized"
    r"|unknown (parameter|field|name)|extra inputs|not allowed|may only be set|not available"
    r"|only (the default|\S+ is (allowed|supported))|not a valid (parameter|argument|field)"
    r"|must be (equal to )?1(\.0)?\b(?! or)|strictly positive",
    re.IGNORECASE,
)


def classify_error(status: int, code: str, message: str) -> ErrorKind:
    """Return the kind of an error with this HTTP status.

    `code` holds all codes and types of its body. `message` must not quote the request (`remove_echo`).
    """
    text = f"{code} {message}"
    if _is_account_error(status, code, message):
        return ErrorKind.fatal
    if status == 413 or (status == 429 and TOO_LARGE_FOR_RATE.search(message)):
        return ErrorKind.context  # more tokens than the quota of a whole minute: it can never succeed
    if status in (429, 498, 503, 529) or THROTTLED.search(code):
        return ErrorKind.busy
    if status == 451 or (status < 500 and (REFUSED.search(text) or "moderation" in code.lower())):
        return ErrorKind.refused
    if CONTEXT.search(text):
        return ErrorKind.context
    if status in (408, 409, 424, 425, 499) or status >= 500:
        return ErrorKind.retry
    if status in (403, 404, 405) or status < 400 or NO_MODEL.search(text):
        return ErrorKind.misconfigured
    return ErrorKind.failed


def _is_account_error(status: int, code: str, message: str) -> bool:
    if status in (401, 402) or NO_ACCOUNT.search(code):
        return True
    if status == 400:
        return bool(NO_ACCOUNT_400.match(message.strip()))
    return status in (403, 429) and bool(NO_ACCOUNT.search(message))


def is_parameter_rejected(status: int, message: str, parameter: str) -> bool:
    """Return whether an error says that the service does not accept `parameter`."""
    return status in (400, 422) and parameter in message and bool(UNSUPPORTED.search(message))


def make_error(
    status: int,
    code: str,
    message: str,
    request_texts: Iterable[str],
    label: str = "",
    retry_after: float | None = None,
) -> ServiceError:
    """Return the error for a reply with this status, code and message to a request with these texts.

    The reason is the message after `label`.
    """
    reason = f"{label}: {message}" if label else message
    message = remove_echo(message[:LONGEST_MESSAGE], request_texts)
    return ServiceError(classify_error(status, code, message), reason, retry_after, status, message)


def remove_echo(message: str, request_texts: Iterable[str]) -> str:
    """Return an error message without what it quotes from the request.

    1. Remove texts of the request with fewer than `ECHO_WORDS` words if they are in quotation marks.
    2. Find the sequences of `ECHO_WORDS` words that are in the message and in a text of the request.
    3. Remove their words from the message.

    Example: for the comment "My credit balance is wrong", "400: cannot parse 'credit balance is wrong'" becomes
    "400: cannot parse '   '".
    """
    texts = [(text, re.findall(r"\w+", text)) for text in request_texts if text]
    for text in (text for text, words in texts if len(words) < ECHO_WORDS):
        message = re.sub(rf"(['\"`]){re.escape(text)}\1", "''", message)
    known = {sequence for _, words in texts for sequence in _list_sequences(words)}
    echoed: set[int] = set()  # indices of words of the message
    for first, sequence in enumerate(_list_sequences(re.findall(r"\w+", message))):
        if sequence in known:
            echoed.update(range(first, first + ECHO_WORDS))
    index = itertools.count()
    return re.sub(r"\w+", lambda word: "" if next(index) in echoed else word[0], message)


def _list_sequences(words: list[str]) -> list[tuple[str, ...]]:
    """Return all sequences of `ECHO_WORDS` words in a row."""
    return [tuple(words[first : first + ECHO_WORDS]) for first in range(len(words) - ECHO_WORDS + 1)]


def read_error(body: Any) -> tuple[str, str]:  # noqa: ANN401 (any JSON value)
    """Return (codes and types, message) of the body of an error.

    Known forms: `{"error": {"code", "type", "message"}}` (OpenAI, Anthropic), the same in a list (Gemini),
    `{"error": "text"}`, `{"message"}`, `{"detail"}`, and plain text. OpenRouter has the error of the service behind it
    in `metadata`.
    """
    if isinstance(body, list):
        body = body[0] if body else ""
    if not isinstance(body, dict):
        return "", str(body)
    error = body if body.get("error") is None else body["error"]
    if not isinstance(error, dict):
        return "", _format_message(error)
    inner = error.get("innererror")
    codes = [error.get(key) for key in ("code", "type", "status")]
    codes.append(inner.get("code") if isinstance(inner, dict) else None)
    message = next((error[key] for key in ("message", "detail", "msg") if error.get(key)), error)
    text = _format_message(message)
    if isinstance(metadata := error.get("metadata"), dict) and metadata.get("raw"):
        text = f"{text}: {_format_message(metadata['raw'])}"
    return " ".join(dict.fromkeys(str(code) for code in codes if code)), text


def _format_message(message: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return a message as text: details of pydantic without what the request contained."""
    if isinstance(message, list):
        return "; ".join(_format_message(part) for part in message)
    if isinstance(message, dict):
        return str({key: value for key, value in message.items() if key not in QUOTED_KEYS})
    return str(message)


def format_one_line(text: str) -> str:
    """Return the text as one printable line of at most 300 characters, without secrets."""
    shown = redact(text)[:2000]  # cut after secrets are removed: a part of a secret would not be recognized
    line = "".join(letter if letter.isprintable() else " " for letter in shown)
    return " ".join(line.split())[:300]


def get_value(row: dict[str, Any], key: str, default: T) -> T:
    """Return a value of a reply, or `default` if it is missing or null; it must have the type of `default`."""
    value = row.get(key)
    if value is None:
        return default
    if not isinstance(value, type(default)):
        expected, got = type(default).__name__, type(value).__name__
        raise ServiceError(ErrorKind.malformed, f"malformed reply: expected {key} to be of type {expected}, got {got}")
    return value


def get_count(usage: Any, key: str) -> int:  # noqa: ANN401 (any JSON value)
    """Return a number of tokens in a reply, or 0 if it is missing or invalid: an answer is kept without its counts."""
    value = usage.get(key) if isinstance(usage, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == math.inf:
        return 0
    return int(min(max(value, 0), MAX_COUNT))


def replace_surrogates(text: str) -> str:
    """Return a text that can be written as UTF-8: half of a surrogate pair becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
