"""No secret is printed, whether from the environment, from a URL, or echoed by a server."""

import base64
import subprocess
import sys
import time

import pytest

from alloy.core.files import InputError
from alloy.core.redact import redact
from alloy.inference.service_errors import format_one_line
from projects import make_environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at https://ann:s3cret-word@host.example/v1: gone", "at https://***@host.example/v1: gone"),
        ("at http://ann:p@ss:w@host:8000/v1?a=1", "at http://***@host:8000/v1?a=***"),
        (
            "GET https://host/v1?api-key=abc123&api-version=2024 failed",
            "GET https://host/v1?api-key=***&api-version=***",
        ),
        ("Incorrect API key provided: sk-proj-abc***wxyz.", "Incorrect API key provided: ***."),
        ("header 'Authorization: Bearer abcdef0123456789'", "header 'Authorization: ***'"),
        ('{"api_key": "abcdef", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("signature=abc&x=1", "signature=***&x=1"),
        ("token hf_abcdefghijkl", "token ***"),
        ("at //ann:hunter22@host/v1", "at //***@host/v1"),
        ("at http://ann:pa?s#s/word@host/v1", "at http://***@host/v1"),
        ("at http://host/v1?opensesame", "at http://host/v1?***"),
        ("at http://host/v1?a=open;b=sesame#t=word", "at http://host/v1?a=***;b=***#t=***"),
        ("x-api-key: abcdefghijkl", "x-api-key: ***"),
        ("api-key: abcdefghijkl", "api-key: ***"),
        ("Authorization: Token abcdefghijkl", "Authorization: ***"),
        ("{'api_key': 'abc def'}", "{'api_key': '***'}"),
        ("api_key = 'hunter22'", "api_key = '***'"),
        ("password: hunter22", "password: ***"),
        ("sig=abcdefgh&code=opensesame", "sig=***&code=***"),
    ],
)
def test_text_that_looks_like_a_secret_is_hidden(text, expected):
    assert redact(text).startswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        "params.yaml: mix.ratio: 0.5, expected at most 0.4",
        "OPENAI_API_KEY: not set; give the service's key",
        "data/x.jsonl:3: id 'a@b' is used twice",
        "http://127.0.0.1:8000/v1: no connection",
        "Basic understanding, token by token; task=voc",
        "params.yaml: infer.token: expected text, got 5; max_tokens: 512; exit code=137",
        "https://host:8000/@name: see https://host/faq#install?",
    ],
)
def test_text_that_is_not_secret_is_not_changed(text):
    assert redact(text) == text


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK", "DB_PASSWORD"])
def test_a_secret_of_the_environment_is_hidden_in_a_message_of_a_server(monkeypatch, name):
    monkeypatch.setenv(name, "plain+word/1")
    assert redact("401: plain+word/1 and plain%2Bword%2F1 are not keys") == "401: *** and *** are not keys"


def test_credentials_of_a_url_are_hidden_everywhere(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://ann:hunter22@host/v1?code=opensesame")
    encoded = base64.b64encode(b"ann:hunter22").decode()
    assert redact(f"user ann:hunter22, {encoded}, password hunter22, code opensesame") == (
        "user ***, ***, password ***, code ***"
    )


ECHOES = {  # a variable, its value, and how a server echoes it
    "digits": ("OPENAI_API_KEY", "1234567890123456", "1234567890123456"),
    "password of digits": ("OPENAI_BASE_URL", "https://ann:31415926@h/v1", "31415926"),
    "query of digits": ("OPENAI_BASE_URL", "https://h/v1?key=987654321012", "987654321012"),
    "token as user": ("OPENAI_BASE_URL", "https://ghtokenabcdef:@h/v1", "ghtokenabcdef"),
    "token as user with a word": ("OPENAI_BASE_URL", "https://ghtokenabcdef:x@h/v1", "ghtokenabcdef"),
    "question mark": ("OPENAI_BASE_URL", "https://ann:pa?ssword1@h/v1", "pa?ssword1"),
    "space": ("OPENAI_BASE_URL", "https://ann:pa ssword1@h/v1", "pa ssword1"),
    "no scheme": ("OPENAI_BASE_URL", "ann:hunter22@localhost/v1", "hunter22"),
    "one slash": ("OPENAI_BASE_URL", "http:/ann:hunter22@localhost/v1", "hunter22"),
    "no slash": ("OPENAI_BASE_URL", "http:ann:hunter22@localhost/v1", "hunter22"),
    "no name": ("OPENAI_BASE_URL", "https://h/v1?opensesame", "opensesame"),
    "semicolon": ("OPENAI_BASE_URL", "https://h/v1?a=open;b=sesame1", "sesame1"),
    "plus": ("OPENAI_BASE_URL", "https://h/v1?a=open+sesame1", "open sesame1"),
    "fragment": ("OPENAI_BASE_URL", "https://h/v1#tok=opensesame", "opensesame"),
    "short": ("OPENAI_API_KEY", "abcd", "abcd"),
    "JSON": ("OPENAI_API_KEY", 'ab"cd\\efgh', 'ab\\"cd\\\\efgh'),
    "HTML": ("OPENAI_API_KEY", "ab&cd<ef'gh", "ab&amp;cd&lt;ef&#39;gh"),
    "escaped letter": ("OPENAI_API_KEY", "abcdé efgh", "abcd\\u00e9 efgh"),
    "lower case": ("OPENAI_API_KEY", "Plain-Word-Key", "plain-word-key"),
    "line break": ("OPENAI_API_KEY", "plainsecretword", "plain\nsecretword"),
    "escaped line break": ("OPENAI_API_KEY", "plainsecretword", "plain\\nsecretword"),
    "zero-width space": ("OPENAI_API_KEY", "plainsecretword", "plain\u200bsecretword"),
    "credential": ("AZURE_CREDENTIAL", "opensesame", "opensesame"),
    "keys": ("OPENAI_KEYS", "opensesame", "opensesame"),
    "auth": ("OPENAI_AUTH", "opensesame", "opensesame"),
}


@pytest.mark.parametrize(("name", "value", "echo"), ECHOES.values(), ids=ECHOES)
def test_each_form_of_a_secret_is_hidden(monkeypatch, name, value, echo):
    monkeypatch.setenv(name, value)
    assert redact(f"<{echo}> refused") == "<***> refused"
    assert redact(f"at {value}: gone").count(echo) == 0


@pytest.mark.parametrize("value", ["none", "EMPTY", "abc"])
def test_a_placeholder_is_not_hidden(monkeypatch, value):
    monkeypatch.setenv("OPENAI_API_KEY", value)
    assert redact(f"the field is {value}") == f"the field is {value}"


def test_a_short_secret_is_hidden_as_a_whole_word_only(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "lamp")
    assert redact("lamp, lamps, clamp, la mp") == "***, lamps, clamp, la mp"


@pytest.mark.parametrize(
    "part", ["a", "//a:", "-eyJ", "token:", "Bearer ", "token='", "password: ", "\\", " ", "plain "]
)
def test_a_long_text_takes_linear_time_and_is_shortened(monkeypatch, part):
    monkeypatch.setenv("OPENAI_API_KEY", "plainsecretword")
    start = time.process_time()
    text = redact(part * (500_000 // len(part)) + " is wrong; fix it")
    assert time.process_time() - start < 10
    assert len(text) < 5000
    assert text.endswith(" is wrong; fix it") or "***" in text


def test_a_secret_at_the_place_where_a_message_is_cut_is_hidden(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "plainsecretword")
    for length in range(280, 300):
        assert "pla" not in format_one_line("x" * length + " plainsecretword")
    assert format_one_line(" " * 1990 + "plainsecretword") == "***"


def test_variables_that_are_not_secret_are_not_hidden(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("SOME_TOKEN_FILE", "folder/file")
    monkeypatch.setenv("MAX_TOKEN", "100000")
    assert redact("somebody folder/file 100000") == "somebody folder/file 100000"


def test_an_input_error_and_a_traceback_hide_secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "plain-word-1")
    assert str(InputError("bad plain-word-1")) == "bad ***"
    code = "from alloy.core.stage import run\ndef main(): raise RuntimeError('plain-word-1 at http://a:bcdefg@h/')\nrun(main)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=make_environment(OPENAI_API_KEY="plain-word-1"),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "RuntimeError: *** at http://***@h/"
