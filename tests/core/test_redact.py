"""No secret is printed, whether from the environment, from a URL, or echoed by a server."""

import base64
import subprocess
import sys

import pytest

from alloy.core.files import InputError
from alloy.core.redact import redact
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
