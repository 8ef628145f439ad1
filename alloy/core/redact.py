"""Keep secrets out of everything that is printed or written for people: errors, reasons, tracebacks.

Three kinds are found: values of environment variables whose names say that they are secret, also as a server echoes
them; credentials and query strings of addresses; and texts in the form of a key.
"""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

HIDDEN = "***"
_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS)(_|$)", re.IGNORECASE)
_NOT_SECRET = re.compile(r"_(ID|FILE|PATH|DIR|URI|SOCK|PID)$", re.IGNORECASE)
_SHORTEST = 6  # a shorter value is a word that may be in any message
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s\"'<>]+")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY_VALUE = re.compile(r"(?<==)[^&#\s]+")
_FORMS = re.compile(
    r"\b(?:Bearer|Basic)\s+(?=\S*[\d=_])[\w.~+/*=-]{12,}"
    r"|\bsk-[\w*-]{4,}"  # OpenAI, Anthropic, OpenRouter
    r"|\b(?:hf_|gh[pousr]_|xox[a-z]-|AIza)[\w-]{8,}"  # Hugging Face, GitHub, Slack, Google
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"  # JSON web tokens
)
_NAMED = re.compile(  # api_key=..., "password": "..."
    r"((?:api[-_]?key|access[-_]?token|token|secret|password|passwd|signature)(?:=|[\"']\s*:\s*[\"']))[^\s\"'&,;}]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with each secret replaced by `***`."""
    for secret in sorted(set(_secrets()), key=len, reverse=True):  # a longer one may hold a shorter one
        text = text.replace(secret, HIDDEN)
    text = _ADDRESS.sub(lambda found: _clean_address(found.group()), text)
    return _NAMED.sub(rf"\1{HIDDEN}", _FORMS.sub(HIDDEN, text))


def _clean_address(address: str) -> str:
    """Return an address without its user and password, and without the values in its query string."""
    address = _CREDENTIALS.sub(f"{HIDDEN}@", address, count=1)
    place, mark, query = address.partition("?")
    return place + mark + _QUERY_VALUE.sub(HIDDEN, query)


def _secrets() -> Iterator[str]:
    """Yield the secrets of the environment, in each spelling in which a server may echo them."""
    for name, value in os.environ.items():
        named = _SECRET_NAME.search(name) and not _NOT_SECRET.search(name)
        for secret in [value.strip()] if named else _in_address(value):
            if len(secret) >= _SHORTEST and not secret.isdigit():
                yield from {secret, unquote(secret), quote(secret, safe="")}


def _in_address(value: str) -> Iterator[str]:
    """Yield the credentials and the values of the query string, if `value` is an address such as OPENAI_BASE_URL."""
    if "://" not in value:
        return
    place, _, query = value.partition("://")[2].partition("?")
    credentials, at, _ = place.rpartition("@")
    if at:
        yield from (credentials, credentials.partition(":")[2])
        yield base64.b64encode(unquote(credentials).encode()).decode()  # as it is sent
    yield from (part.partition("=")[2] for part in query.partition("#")[0].split("&"))
