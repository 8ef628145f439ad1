r"""Remove secrets from text that people read: error messages, reasons, tracebacks.

Three kinds of secrets are found: values of environment variables (names such as API_KEY, and credentials and query
values in URLs), in the forms in which servers echo them; credentials and query values in any URL; and text that looks
like a secret, such as `api-key: ...`. All expressions take time that grows linearly with the text.
"""

import base64
import html
import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
MAX_LINE = 4000  # characters; the middle of a longer line is left out
_LINE_END = 1000  # characters that are kept at the end, where messages say how to fix the error

# Which variables of the environment are secret.
_SECRET_NAME = re.compile(
    r"(^|_)(API_?KEY|KEYS?|TOKEN|SECRETS?|PASSWORD|PASSWD|PASS|CREDENTIALS?|AUTH)(_|$)", re.IGNORECASE
)
_NOT_SECRET = re.compile(
    r"^(MAX|MIN|NUM)_|_(ID|FILE|PATH|DIR|URI|URL|SOCK|PID|TYPE|METHOD|MODE|NAME|HOST)$", re.IGNORECASE
)
_PLACEHOLDERS = {"none", "null", "empty", "dummy", "true", "false", "token", "test", "basic", "local"}
_MIN_LENGTH = 4
_MIN_LENGTH_USER = 6  # a shorter user name without a password is an ordinary word
_LONG_USER = 12  # a longer user name may be a token, also if there is a password
_MIN_DIGITS = 8  # a shorter number in a query string may be a version or a limit
_LONG_SECRET = 8  # a shorter secret is found as a whole word only
_URL_START = re.compile(r"[a-z][\w+.-]*://|https?:/?|//", re.IGNORECASE)
# Characters that may be inside an echo: white space, control characters and invisible characters.
_IGNORED = "[\\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
_IN_SECRET = rf"(?:{_IGNORED}|\\[nrt])*"

# Which text looks like a secret.
_URL = re.compile(r"//[^\s\"'<>]+")
_QUERY_PART = re.compile(r"([^&;#=]*=?)([^&;#]*)")
_KEY_FORMATS = re.compile(
    r"\b(?:Bearer|Basic)\s+(?=\S*[\d=_])[\w.~+/*=-]{12,}"
    r"|\bsk-[\w*-]{4,}"  # OpenAI, Anthropic, OpenRouter
    r"|\b(?:hf_|gh[pousr]_|xox[a-z]-|AIza)[\w-]{8,}"  # Hugging Face, GitHub, Slack, Google
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"  # JSON web tokens
)
_HEADER = re.compile(  # x-api-key: ..., Authorization: Token ...
    r"(?<![\w-])((?:(?:x-)?(?:goog-)?api-key|x-auth-token|(?:proxy-)?authorization)\\?[\"']?\s*:\s*\\?[\"']?)"
    r"(?:(?:Token|Bearer|Basic|Digest|Key|ApiKey)\s+)?[^\s\"',;}]{6,}",
    re.IGNORECASE,
)
_NAME = r"(?:api[-_]?key|access[-_]?token|token|secret|password|passwd|signature|credential)"
_QUOTED_VALUE = re.compile(  # api_key = '...', "password": "..."
    rf"({_NAME}\\?[\"']?\s*[:=]\s*\\?)([\"'])(?:(?!\\?\2)[^\n])+", re.IGNORECASE
)
_ASSIGNED_VALUE = re.compile(rf"({_NAME}=|(?<!\w)(?:sig|code)=(?=\w{{6}})(?!\d+\b))[^\s\"'&,;}}]+", re.IGNORECASE)
# After a colon, only what has a digit: `password: hunter22`, but not `password: missing`.
_LISTED_VALUE = re.compile(
    r"((?:(?:password|passwd|secret)\s*[:=]\s*(?=\S{0,100}\d)|(?:api[-_]?key|token)\s*[:=]\s*(?=\S{0,100}\d)(?=\S{0,100}[a-z])))"
    r"[^\s\"'&,;}]{6,}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with each secret replaced by `***`, and without the middle of very long lines."""
    if secrets := _compile_secrets(tuple(sorted(set(_list_secrets())))):
        text = secrets.sub(HIDDEN, text)
    text = _URL.sub(lambda match: _redact_url(match[0]), text)
    text = _HEADER.sub(rf"\1{HIDDEN}", _KEY_FORMATS.sub(HIDDEN, text))
    text = _QUOTED_VALUE.sub(rf"\1\2{HIDDEN}", text)
    text = _LISTED_VALUE.sub(rf"\1{HIDDEN}", _ASSIGNED_VALUE.sub(rf"\1{HIDDEN}", text))
    return text if len(text) <= MAX_LINE else "\n".join(_shorten(line) for line in text.split("\n"))


def _shorten(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    return f"{line[: MAX_LINE - _LINE_END]}... ({len(line) - MAX_LINE:,} characters) ...{line[-_LINE_END:]}"


def _redact_url(url: str) -> str:
    """Return a URL, from its `//`, without its user and password, and without the values in its query string.

    The password may have an unencoded `/`, `?`, `#` or `@`. So everything before the last `@` is hidden, unless that is
    in the path of a URL without credentials: `//host:8000/@name`.
    """
    before, at, after = url[2:].rpartition("@")
    authority = re.split(r"[/?#]", before, maxsplit=1)[0]
    port = authority.partition(":")[2]
    if at and (authority == before or "@" in authority or (port and not port.isdigit())):
        url = f"//{HIDDEN}@{after}"
    location, mark, query = url.partition("?")
    location, hash_mark, fragment = location.partition("#")
    if "=" in fragment:
        fragment = _QUERY_PART.sub(_hide_query_value, fragment)
    return location + hash_mark + fragment + mark + _QUERY_PART.sub(_hide_query_value, query)


def _hide_query_value(part: "re.Match[str]") -> str:
    """Return `name=***` for `name=value`, and `***` for a part without `=`."""
    name = part[1] if part[1].endswith("=") else ""
    return name + HIDDEN if part[0] != name else name


@lru_cache(maxsize=8)
def _compile_secrets(secrets: tuple[str, ...]) -> "re.Pattern[str] | None":
    """Return an expression that finds each secret in all of its forms, in lower or upper case.

    Invisible characters and line breaks in an echo are ignored, except in short secrets, which must be whole words.
    """
    forms = {form for secret in secrets for form in _list_forms(secret) if len(form) >= _MIN_LENGTH}
    patterns = []
    for form in sorted(forms, key=len, reverse=True):  # a longer secret may contain a shorter one
        if len(form) >= _LONG_SECRET:
            patterns.append(_IN_SECRET.join(map(re.escape, re.sub(_IGNORED, "", form))))
        else:
            patterns.append(rf"(?<!\w){re.escape(form)}(?!\w)")
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _list_forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it is decoded and escaped in URLs, JSON and HTML."""
    for text in {secret, unquote(secret), unquote_plus(secret)}:
        raw = text.encode("utf-8", "surrogateescape")  # as in os.environ
        yield from (text, quote(raw, safe=""), quote(raw), quote_plus(raw), text.replace("/", "\\/"))
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        yield from (html.escape(text, quote=False), html.escape(text), html.escape(text).replace("&#x27;", "&#39;"))


def _list_secrets() -> Iterator[str]:
    """Yield the secrets in environment variables."""
    for name, value in os.environ.items():
        is_secret = _SECRET_NAME.search(name) and not _NOT_SECRET.search(name) and not _is_path(value)
        for secret in [value.strip()] if is_secret else _list_url_secrets(value.strip()):
            if len(secret) >= _MIN_LENGTH and secret.lower() not in _PLACEHOLDERS:
                yield secret


def _is_path(value: str) -> bool:
    """Return whether a value is the path of a file, as in GOOGLE_APPLICATION_CREDENTIALS."""
    return os.path.isabs(value) and os.path.exists(value)


def _list_url_secrets(value: str) -> Iterator[str]:
    """Yield the credentials and the query values if `value` is a URL, as in OPENAI_BASE_URL, also one with errors.

    1. Remove the scheme, which may be malformed: `http:/`, `//` or missing.
    2. Everything before the last `@` may be credentials, since a password may have unencoded `/`, `?` and `#`.
    3. Everything after the first `?` or `#` is a query string.
    """
    start = _URL_START.match(value)
    rest = value[start.end() :] if start else value
    credentials, at, after = rest.rpartition("@")
    if at and (start or ":" in credentials):
        yield from _list_credentials(credentials)
    if start:
        for text in {rest, after}:
            query = re.split(r"[?#]", text, maxsplit=1)[1:]
            yield from (secret for part in query for secret in _list_query_secrets(part))


def _list_credentials(credentials: str) -> Iterator[str]:
    """Yield the secrets in `user:password`; a user name is one if it may be a token."""
    user, _, password = credentials.partition(":")
    if len(credentials) >= _MIN_LENGTH_USER:
        yield credentials
        yield base64.b64encode(unquote(credentials).encode("utf-8", "surrogateescape")).decode()  # in request headers
    yield password
    if len(user) >= (_MIN_LENGTH_USER if len(password) < _MIN_LENGTH else _LONG_USER):
        yield user


def _list_query_secrets(query: str) -> Iterator[str]:
    """Yield the values in a query string or fragment, but no versions and no short numbers."""
    for part in re.split("[&;#?]", query):
        name, mark, value = part.partition("=")
        secret = value if mark else name
        if not name.lower().endswith("version") and not (secret.isdigit() and len(secret) < _MIN_DIGITS):
            yield secret
