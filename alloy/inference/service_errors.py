"""Classifies errors of a service: do they concern one request, the rate of all requests, or the whole job?

Services share few error codes, so the texts of messages are matched too. The patterns cover OpenAI, Azure, Gemini,
llama.cpp, vLLM, Anthropic, and Claude, Llama and Nova on Bedrock. tests/inference/test_service_errors.py has examples.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from alloy.core.redact import redact


class ErrorKind(Enum):
    """What to do about an error."""

    # Only this request has no answer:
    context = "context"  # it is longer than the model's context
    refused = "refused"  # the service refuses to answer it
    failed = "failed"  # it is invalid for another reason
    # Send the request again:
    retry = "retry"  # after a while: the error may be temporary
    busy = "busy"  # and slow down all requests: the rate was too high
    # Stop the job if the service has not answered any request yet:
    unreachable = "unreachable"  # no connection; otherwise, retry
    misconfigured = "misconfigured"  # wrong model, address or permissions; otherwise, only this request fails
    # Stop the job:
    fatal = "fatal"  # an invalid key or no credit: no request can succeed


@dataclass
class ServiceError(Exception):
    """An error of a service. `retry_after` is in seconds, and None if the service does not say."""

    kind: ErrorKind
    reason: str
    retry_after: float | None = None

    def __post_init__(self) -> None:
        """Make the reason one printable line without secrets."""
        self.reason = format_one_line(self.reason)


CONTEXT = re.compile(
    r"context[ _-]?(length|window|size|limit)"  # OpenAI, Azure, vLLM, llama.cpp, Anthropic, Llama on Bedrock
    r"|(prompt|input|request|message|text|string)s?( is| are)? too (long|large)"  # Claude, Bedrock, OpenAI
    r"|too many (input |total )?(tokens|text bytes)"
    r"|input[ _]tokens?[ _](exceeded|count|limit)"  # Nova, Gemini
    r"|(exceeds?|exceeding) the maximum number of (input )?tokens"  # Gemini
    r"|number of (input |prompt )?tokens .{0,40}exceed"  # Nova
    r"|(longer|larger|greater) than the (maximum )?(model|context|prompt|input)"  # vLLM
    r"|reduce the (length|size) of"  # OpenAI, vLLM, Groq
    r"|max_model_len|maximum (model|prompt|input|sequence) length"
    r"|expected max_?length: \d+, actual"  # older models on Bedrock
    r"|exceed_context_size|string_above_max_length|request_too_large",
    re.IGNORECASE,
)
REFUSED = re.compile(
    r"content[ _-]?(filter|policy|management policy|moderation)|ResponsibleAIPolicyViolation|moderation"
    r"|usage polic|safety (system|filter|settings)|PROHIBITED_CONTENT|blocked by .{0,30}guardrail"
    r"|inappropriate content",
    re.IGNORECASE,
)
THROTTLED = re.compile(
    r"Throttl|TooManyRequests|rate_?limit|overloaded|SlowDown|ModelNotReady|ServiceUnavailable|RESOURCE_EXHAUSTED",
    re.IGNORECASE,
)
NO_ACCOUNT = re.compile(
    r"insufficient_quota|insufficient.balance|credit balance|billing_hard_limit|account_deactivated|invalid_api_key"
    r"|API_KEY_INVALID|API key not valid|invalid api key|ExpiredToken|UnrecognizedClient|InvalidSignature"
    r"|InvalidClientTokenId|MissingAuthenticationToken|IncompleteSignature|authentication_error",
    re.IGNORECASE,
)
NO_MODEL = re.compile(
    r"model_not_found|model identifier is invalid|on-demand throughput|unsupported model|model .{0,80}does not exist"
    r"|not a valid model|unknown model|DeploymentNotFound",
    re.IGNORECASE,
)
UNSUPPORTED = re.compile(
    r"unsupported|not supported|(does not|doesn.t|not) support|deprecated|only the default|not permitted|unrecognized"
    r"|unknown (parameter|field|name)|extra inputs|not allowed|may only be set",
    re.IGNORECASE,
)


def classify_error(status: int, code: str, message: str) -> ErrorKind:
    """Return the kind of an error with this HTTP status; `code` holds all codes and types of its body."""
    text = f"{code} {message}"
    if status in (401, 402) or NO_ACCOUNT.search(text):
        return ErrorKind.fatal
    if status in (429, 503, 529) or THROTTLED.search(code):
        return ErrorKind.busy
    if status < 500 and REFUSED.search(text):
        return ErrorKind.refused
    if CONTEXT.search(text) or status == 413:
        return ErrorKind.context
    if status in (408, 409, 424, 425) or status >= 500:
        return ErrorKind.retry
    if status in (403, 404, 405) or status < 400 or NO_MODEL.search(text):
        return ErrorKind.misconfigured
    return ErrorKind.failed


def is_parameter_rejected(status: int, message: str, parameter: str) -> bool:
    """Return whether an error says that the service does not accept `parameter`."""
    return status in (400, 422) and parameter in message and bool(UNSUPPORTED.search(message))


def read_error(body: Any) -> tuple[str, str]:  # noqa: ANN401 (any JSON value)
    """Return (codes and types, message) of the body of an error.

    Known forms: `{"error": {"code", "type", "message"}}` (OpenAI, Anthropic), the same in a list (Gemini),
    `{"error": "text"}`, `{"message"}`, `{"detail"}`, and plain text.
    """
    if isinstance(body, list):
        body = body[0] if body else ""
    if not isinstance(body, dict):
        return "", str(body)
    error = body.get("error", body)
    if not isinstance(error, dict):
        return "", str(error)
    inner = error.get("innererror")
    codes = [error.get(key) for key in ("code", "type", "status")]
    codes.append(inner.get("code") if isinstance(inner, dict) else None)
    message = next((error[key] for key in ("message", "detail", "msg") if error.get(key)), "")
    return " ".join(dict.fromkeys(str(code) for code in codes if code)), str(message or error)


def format_one_line(text: str) -> str:
    """Return the text as one printable line of at most 300 characters, without secrets."""
    line = "".join(letter if letter.isprintable() else " " for letter in redact(text[:2000]))
    return " ".join(line.split())[:300]
