"""An unusual reply to one of forty comments does not stop the labeling of the others.

The replies are those of shared/cases/services/replies.json.
"""

import json
import time
from collections import Counter
from pathlib import Path

import boto3
import pytest

from alloy.formats.taxonomy import Taxonomy
from alloy.inference import rate_limiter, service
from alloy.inference.engine import Request
from alloy.inference.service import CHECK_TEXT, make_check_request, read_guarded
from alloy.inference.service_errors import ErrorKind, ServiceError
from alloy.inference.settings import EngineName, Infer
from alloy.labeling.predict import build_metrics, count_prediction, open_labeler
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import Prompt
from alloy.modeling.model_folder import write_hosted
from openai_server import Reply, Row, make_reply, serve_replies

SEGMENTS = [{"content": "the lock jams", "L1": "Setup"}]
TASK = {"levels": ["L1"], "has_content": True, "emotions": [], "most_segments": 1}
BAD = "comment 17 "


@pytest.fixture(autouse=True)
def account(tmp_path, monkeypatch):
    """Set keys of accounts that do not exist, and make all waits a hundred times shorter."""
    monkeypatch.setattr(rate_limiter, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(service, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "OPENAI_API_KEY": "a-key",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)


def label_comments(
    folder: Path, monkeypatch, engine: EngineName, answer, comments=40
) -> tuple[list[Row], Row, list[Row]]:
    """Return the predictions of comments, the metrics, and the requests that were made."""
    write_hosted(folder / "base", "some-model")
    prompts = Prompts.from_task(Prompt(), Taxonomy(("L1",), {("Setup",): ""}), TASK, [])
    rows: dict[int, Row] = {}
    with serve_replies(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
        labeler = open_labeler(folder / "base", Infer(engine=engine), prompts)
        texts = [{"id": str(number), "text": f"In comment {number} the lock jams"} for number in range(comments)]
        labeler(texts, rows.__setitem__)
        if engine is EngineName.bedrock:
            labeler.engine.client.close()  # type: ignore[attr-defined]
    totals: Counter[str] = Counter()
    kept = [count_prediction(rows[number], totals) for number in range(comments)]
    return kept, build_metrics(totals), server.requests


def is_bad(body: Row) -> bool:
    return BAD in json.dumps(body)


def serve_openai(reply: Reply):
    """Return a function that answers in the format of OpenAI, and one comment with `reply`."""
    return lambda body: reply if is_bad(body) else make_reply(json.dumps(SEGMENTS))


def make_converse_reply(text: str) -> Reply:
    message = {"role": "assistant", "content": [{"text": text}]}
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    return Reply(
        {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}
    )


def make_bedrock_error(status: int, kind: str, **body: object) -> Reply:
    return Reply(body, status, {"x-amzn-ErrorType": kind})


OVER = "request (9120 tokens) exceeds the available context size (8192 tokens), try increasing it"
LLAMA_CPP = Reply({"error": {"code": 400, "message": OVER, "type": "exceed_context_size_error"}}, 400)
NO_CHOICES = Reply({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []})


@pytest.mark.parametrize(("reply", "finish"), [(LLAMA_CPP, "context"), (NO_CHOICES, "refused")])
def test_a_comment_without_an_answer_is_counted_and_the_others_are_labeled(tmp_path, monkeypatch, reply, finish):
    rows, metrics, requests = label_comments(tmp_path, monkeypatch, EngineName.openai, serve_openai(reply))
    assert [row["finish"] for row in rows] == ["stop"] * 17 + [finish] + ["stop"] * 22
    assert [row["valid"] for row in rows].count(True) == 39
    assert rows[17]["reason"]
    assert metrics["unanswered"] == {**dict.fromkeys(("context", "refused", "failed"), 0), finish: 1}
    assert metrics[f"ended_by_{finish}"] == 0.025
    assert len(requests) == 40


def test_a_model_with_a_fixed_temperature_gets_requests_without_it_and_the_metrics_count_it(tmp_path, monkeypatch):
    message = (
        "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) is supported."
    )
    rejected = Reply({"error": {"message": message, "param": "temperature", "code": "unsupported_value"}}, 400)
    answer = lambda body: rejected if "temperature" in body else make_reply(json.dumps(SEGMENTS))  # noqa: E731
    rows, metrics, _ = label_comments(tmp_path, monkeypatch, EngineName.openai, answer)
    assert all(row["valid"] for row in rows)
    assert (metrics["sampled"], metrics["unanswered"]["failed"]) == (40, 0)


def test_the_list_after_a_thought_is_read(tmp_path, monkeypatch):
    thought = make_reply(f"<think>Labels are in [brackets].</think>\n{json.dumps(SEGMENTS)}")
    rows, _, _ = label_comments(tmp_path, monkeypatch, EngineName.openai, serve_openai(thought))
    assert (rows[17]["valid"], rows[17]["segments"]) == (True, SEGMENTS)


def test_a_greedy_answer_is_not_counted_as_sampled(tmp_path, monkeypatch):
    _, metrics, _ = label_comments(tmp_path, monkeypatch, EngineName.openai, lambda _: make_reply(json.dumps(SEGMENTS)))
    assert "sampled" not in metrics


NOVA = "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length. "


def test_a_comment_over_the_context_of_nova_is_counted_and_the_others_are_labeled(tmp_path, monkeypatch):
    over = make_bedrock_error(400, "ValidationException", message=f"{NOVA}Please update the input to try again.")
    answer = lambda body: over if is_bad(body) else make_converse_reply(json.dumps(SEGMENTS))  # noqa: E731
    rows, metrics, _ = label_comments(tmp_path, monkeypatch, EngineName.bedrock, answer)
    assert [row["valid"] for row in rows].count(True) == 39
    assert (rows[17]["finish"], metrics["unanswered"]["context"]) == ("context", 1)


def test_a_temporary_error_of_a_model_on_bedrock_is_retried(tmp_path, monkeypatch):
    message = "The system encountered an unexpected error during processing. Try your request again."
    errors = [make_bedrock_error(424, "ModelErrorException", message=message, originalStatusCode=500)] * 2

    def answer(body: Row) -> Reply:
        return errors.pop() if is_bad(body) and errors else make_converse_reply(json.dumps(SEGMENTS))

    rows, _, requests = label_comments(tmp_path, monkeypatch, EngineName.bedrock, answer)
    assert (all(row["valid"] for row in rows), len(requests)) == (True, 42)


def test_a_quota_with_default_settings_slows_the_job_down_and_it_finishes(tmp_path, monkeypatch):
    """The quota is twenty requests per 0.6 seconds instead of per minute; pauses are a hundred times shorter."""
    granted: list[float] = []

    def answer(_: Row) -> Reply:
        now = time.monotonic()
        granted[:] = [moment for moment in granted if now - moment < 0.6]
        if len(granted) >= 20:
            return make_bedrock_error(
                429, "ThrottlingException", message="Too many requests, please wait before trying again."
            )
        granted.append(now)
        return make_converse_reply(json.dumps(SEGMENTS))

    rows, metrics, requests = label_comments(tmp_path, monkeypatch, EngineName.bedrock, answer, comments=120)
    assert all(row["valid"] for row in rows)
    assert metrics["unanswered"]["failed"] == 0
    assert len(requests) < 240


SYSTEM = {"role": "system", "content": "Label it."}


@pytest.mark.parametrize(
    ("request_", "contents"),
    [
        (Request("the lock", [SYSTEM, {"role": "user", "content": "On the lock: the lock!"}]), "On the lock: Hello!"),
        (Request("", [SYSTEM, {"role": "user", "content": "Explain how to"}]), CHECK_TEXT),
        (Request("absent", [SYSTEM, {"role": "user", "content": "Explain how to"}]), CHECK_TEXT),
    ],
)
def test_the_check_request_has_the_instructions_and_a_harmless_text(request_, contents):
    check = make_check_request(request_)
    assert check.messages == [SYSTEM, {"role": "user", "content": contents}]
    assert check.source == CHECK_TEXT


def test_the_check_request_has_the_prompt_of_the_job():
    prompts = Prompts.from_task(Prompt(), Taxonomy(("L1",), {("Setup",): ""}), TASK, [])
    text = "In comment 0 the lock jams"
    (messages,) = prompts.build_messages([{"id": "0", "text": text}])
    (message,) = make_check_request(Request(text, messages)).messages
    assert message["content"] == messages[0]["content"].replace(text, CHECK_TEXT)


@pytest.mark.parametrize("error", [KeyError("choices"), RecursionError("too deep"), ValueError("bad")])
def test_any_exception_while_a_reply_is_read_is_an_error_of_the_service(error):
    with pytest.raises(ServiceError) as caught, read_guarded():
        raise error
    assert caught.value.kind is ErrorKind.malformed
    assert type(error).__name__ in caught.value.reason
    assert error.args[0] in caught.value.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(24, "too many open files")])
def test_an_error_of_this_machine_is_not_an_error_of_the_service(error):
    with pytest.raises(type(error)), read_guarded():
        raise error
