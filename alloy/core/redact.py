"""Remove secrets from text that people read: error messages, reasons, tracebacks.

Three kinds of secrets are found: values of environment variables with names such as API_KEY, also URL-encoded;
credentials and query strings in URLs; and text in the format of a known kind of key.
"""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

HIDDEN = "***"
_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS)(_|$)", re.IGNORECASE)
_NOT_SECRET = re.compile(r"_(ID|FILE|PATH|DIR|URI|SOCK|PID)$", re.IGNORECASE)
_MIN_LENGTH = 6  # a shorter value may be an ordinary word
_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s\"'<>]+")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY_VALUE = re.compile(r"(?<==)[^&#\s]+")
_KEY_FORMATS = re.compile(
    r"\b(?:Bearer|Basic)\s+(?=\S*[\d=_])[\w.~+/*=-]{12,}"
    r"|\bsk-[\w*-]{4,}"  # OpenAI, Anthropic, OpenRouter
    r"|\b(?:hf_|gh[pousr]_|xox[a-z]-|AIza)[\w-]{8,}"  # Hugging Face, GitHub, Slack, Google
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"  # JSON web tokens
)
_KEY_VALUE = re.compile(  # api_key=..., "password": "..."
    r"((?:api[-_]?key|access[-_]?token|token|secret|password|passwd|signature)(?:=|[\"']\s*:\s*[\"']))[^\s\"'&,;}]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with each secret replaced by `***`."""
    for secret in sorted(set(_list_secrets()), key=len, reverse=True):  # a longer secret may contain a shorter one
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(lambda match: _redact_url(match.group()), text)
    return _KEY_VALUE.sub(rf"\1{HIDDEN}", _KEY_FORMATS.sub(HIDDEN, text))


def _redact_url(url: str) -> str:
    """Return a URL without its user and password, and without the values in its query string."""
    url = _CREDENTIALS.sub(f"{HIDDEN}@", url, count=1)
    location, mark, query = url.partition("?")
    return location + mark + _QUERY_VALUE.sub(HIDDEN, query)


def _list_secrets() -> Iterator[str]:
    """Yield the secrets in environment variables: as they are, URL-decoded and URL-encoded, as servers echo them."""
    for name, value in os.environ.items():
        is_secret = _SECRET_NAME.search(name) and not _NOT_SECRET.search(name)
        for secret in [value.strip()] if is_secret else _list_url_secrets(value):
            if len(secret) >= _MIN_LENGTH and not secret.isdigit():
                yield from {secret, unquote(secret), quote(secret, safe="")}


def _list_url_secrets(value: str) -> Iterator[str]:
    """Yield the credentials and the query values if `value` is a URL, as in OPENAI_BASE_URL."""
    if "://" not in value:
        return
    location, _, query = value.partition("://")[2].partition("?")
    credentials, at, _ = location.rpartition("@")
    if at:
        yield from (credentials, credentials.partition(":")[2])
        yield base64.b64encode(unquote(credentials).encode()).decode()  # the form in request headers
    yield from (part.partition("=")[2] for part in query.partition("#")[0].split("&"))
