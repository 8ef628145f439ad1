"""What a service's error means, and for whom: this request, the pace of all requests, or the whole job.

Services agree on few codes, so their words are matched too. They are those of OpenAI, Azure, Gemini, llama.cpp, vLLM,
Anthropic, and of Claude, Llama and Nova on Bedrock; tests/inference/test_service_errors.py has the bodies.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from alloy.core.redact import redact


class Kind(Enum):
    """What to do about an error."""

    context = "context"  # the request is over the model's context: only this one has no answer
    refused = "refused"  # the service does not want to answer: only this one has no answer
    failed = "failed"  # the request is wrong for another reason: only this one has no answer
    again = "again"  # it may pass: ask again, after a while
    busy = "busy"  # asked too fast: all requests slow down
    unreachable = "unreachable"  # nobody answers there: stop if there was no answer yet, else ask again
    wrong = "wrong"  # wrong model, address or rights: stop if there was no answer yet, else only this one fails
    stop = "stop"  # bad key, no money: no request will be answered


@dataclass
class ServiceError(Exception):
    """An error of a service; `reason` in one line without secrets, `retry_after` in seconds if the service said so."""

    kind: Kind
    reason: str
    retry_after: float | None = None

    def __post_init__(self) -> None:
        """Make the reason one printable line without secrets."""
        self.reason = one_line(self.reason)


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


def kind_of(status: int, code: str, message: str) -> Kind:
    """Return what an answer with an HTTP status means; `code` holds all codes and types in its body."""
    said = f"{code} {message}"
    if status in (401, 402) or NO_ACCOUNT.search(said):
        return Kind.stop
    if status in (429, 503, 529) or THROTTLED.search(code):
        return Kind.busy
    if status < 500 and REFUSED.search(said):
        return Kind.refused
    if CONTEXT.search(said) or status == 413:
        return Kind.context
    if status in (408, 409, 424, 425) or status >= 500:
        return Kind.again
    if status in (403, 404, 405) or status < 400 or NO_MODEL.search(said):
        return Kind.wrong
    return Kind.failed


def rejects(status: int, message: str, parameter: str) -> bool:
    """Return whether a service says that it does not take `parameter`."""
    return status in (400, 422) and parameter in message and bool(UNSUPPORTED.search(message))


def read_error(body: Any) -> tuple[str, str]:  # noqa: ANN401 (whatever a service sent)
    """Return (codes and types, message) of an error's body, whoever wrote it.

    `{"error": {"code", "type", "message"}}` (OpenAI, Anthropic), the same in a list (Gemini), `{"error": "text"}`,
    `{"message"}`, `{"detail"}`, or text.
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


def one_line(text: str) -> str:
    """Return what a service said as one printable line of at most 300 characters, without secrets."""
    line = "".join(letter if letter.isprintable() else " " for letter in redact(text[:2000]))
    return " ".join(line.split())[:300]
