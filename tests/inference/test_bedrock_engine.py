"""Bedrock's Converse API: how its answers and errors are read."""

import time

import boto3
import pytest

import tiny_model
from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy
from alloy.inference import rate_limiter, service
from alloy.inference.bedrock_engine import BedrockEngine
from alloy.inference.engine import Completion, Finish, Request
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import EngineName, Infer
from alloy.labeling.constrained_decoding import LabelConstraint
from alloy.modeling.model_folder import write_hosted
from openai_server import Reply, reply_in_order, serve_replies
from projects import find_free_port

MODEL = "eu.amazon.nova-lite-v1:0"
KEPT_ANSWERS = "answers so far are kept"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
# Variables that could set a region, keys or an endpoint on this machine.
AWS_VARIABLES = (
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_RETRY_MODE",
    "AWS_ROLE_ARN",
    "AWS_SESSION_TOKEN",
)


def make_reply(text, reason="end_turn", wait=0.0, **usage):
    """Return an answer in the format of Converse."""
    message = {"role": "assistant", "content": [{"text": text}]}
    used = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2, **usage}
    body = {"output": {"message": message}, "stopReason": reason, "usage": used, "metrics": {"latencyMs": 1}}
    return Reply(body, wait=wait)


def make_error_reply(status, kind, message="error of the test"):
    """Return an error in the format of Bedrock."""
    return Reply({"message": message}, status, {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/coral/"})


THROTTLED = make_error_reply(429, "ThrottlingException", "Too many requests, please wait before trying again.")


def read_number(body):
    return int(body["messages"][-1]["content"][0]["text"])


def make_request(text):
    return Request(text, [{"role": "user", "content": text}])


def make_infer(**settings):
    return Infer(engine=EngineName.bedrock, **{"concurrency": 3, "retries": 2, **settings})


@pytest.fixture(autouse=True)
def set_credentials(tmp_path, monkeypatch):
    """Set the keys and the region of an account that does not exist, and reset the default session of boto3."""
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    files = {"AWS_CONFIG_FILE": tmp_path / "no-config", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / "no-credentials"}
    variables = {**files, **KEYS, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(autouse=True)
def shorten_waits(monkeypatch):
    """Make all waits a hundred times shorter."""
    monkeypatch.setattr(rate_limiter, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(rate_limiter, "LONGEST_PAUSE", 0.6)
    monkeypatch.setattr(service, "FIRST_WAIT", 0.005)


@pytest.fixture
def folder(tmp_path):
    write_hosted(tmp_path / "base", MODEL)
    return tmp_path / "base"


@pytest.fixture
def ask(folder, monkeypatch):
    """Return a function that serves `answer`, sends comments or requests, and returns (completions, server)."""

    def ask(answer, comments=("x",), on_completion=lambda *_: None, **settings):
        requests = [comment if isinstance(comment, Request) else make_request(comment) for comment in comments]
        with serve_replies(answer) as service:
            monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
            engine = BedrockEngine(folder, make_infer(**settings), None)
            try:
                return engine.complete(requests, on_completion), service
            finally:
                engine.client.close()

    return ask


@pytest.fixture
def read_error(ask):
    """Return a function that serves `answer`, sends comments, and returns the error that stops the job."""

    def read_error(answer, comments=("x",), **settings):
        with pytest.raises(InputError) as error:
            ask(answer, comments, **settings)
        (line,) = str(error.value).splitlines()
        return line

    return read_error


def test_answers_are_in_the_order_of_the_requests_not_of_completion(ask):
    first_is_slowest = lambda body: make_reply(str(read_number(body)), wait=0.2 / (1 + read_number(body)))  # noqa: E731
    completions, _ = ask(first_is_slowest, map(str, range(6)))
    assert [completion.text for completion in completions] == list("012345")


def test_exactly_infer_concurrency_requests_run_at_a_time(ask):
    _, service = ask(lambda _: make_reply("x", wait=0.1), ["x"] * 12, concurrency=4)
    assert (len(service.requests), service.max_active) == (12, 4)


def test_more_requests_run_at_a_time_than_boto3_allows_by_default(ask):
    _, service = ask(lambda _: make_reply("x", wait=0.3), ["x"] * 24, concurrency=24)
    assert service.max_active > 10


def test_every_answer_is_reported_once(ask):
    reported = []
    ask(reply_in_order(make_reply("x")), ["x"] * 7, lambda index, _: reported.append(index))
    assert sorted(reported) == list(range(7))


def test_a_request_has_the_name_of_the_model_and_temperature_0(ask):
    _, service = ask(reply_in_order(make_reply("x")), ["Hello"], max_new_tokens=5)
    assert service.paths == ["/model/eu.amazon.nova-lite-v1%3A0/converse"]
    assert service.requests == [
        {
            "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
            "system": [],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0.0},
        }
    ]


TRANSIENT_ERRORS = [
    THROTTLED,
    make_error_reply(503, "ServiceUnavailableException"),
    make_error_reply(429, "ModelNotReadyException"),
    make_error_reply(500, "InternalServerException"),
    make_error_reply(424, "ModelErrorException", "The system encountered an unexpected error during processing."),
    make_error_reply(408, "ModelTimeoutException"),
    make_error_reply(429, "ThrottlingException", "Too many tokens, please wait before trying again."),
]


@pytest.mark.parametrize("reply", TRANSIENT_ERRORS)
def test_requests_to_a_busy_or_failing_service_are_retried(ask, reply):
    (completion,), service = ask(reply_in_order(reply, reply, make_reply("at last")))
    assert (completion.text, len(service.requests)) == ("at last", 3)


def test_a_quota_of_requests_slows_the_job_down_and_it_finishes(ask):
    seen = []

    def within_quota(_):
        now = time.monotonic()
        seen[:] = [moment for moment in seen if now - moment < 0.2]
        if len(seen) >= 6:
            return THROTTLED
        seen.append(now)
        return make_reply("x")

    completions, service = ask(within_quota, ["x"] * 60, concurrency=16, retries=8)
    assert {completion.text for completion in completions} == {"x"}
    assert len(service.requests) < 150


def test_requests_that_are_always_throttled_end_with_a_reason(ask):
    completions, _ = ask(reply_in_order(THROTTLED), ["x"] * 4, retries=2)
    assert {completion.finish for completion in completions} == {Finish.failed}
    assert all(completion.reason.startswith("ThrottlingException: Too many requests") for completion in completions)


def test_a_service_that_always_throttles_stops_a_long_job(read_error):
    line = read_error(reply_in_order(THROTTLED), ["x"] * 99, retries=2)
    assert line.startswith(f"infer.engine: {MODEL}: ")
    assert "ThrottlingException" in line
    assert KEPT_ANSWERS in line


def test_a_request_that_takes_longer_than_infer_timeout_has_no_answer(ask):
    (completion,), _ = ask(reply_in_order(make_reply("too late", wait=5)), timeout=0.2, retries=0)
    assert (completion.finish, "Read timeout" in completion.reason) == (Finish.failed, True)


@pytest.mark.parametrize(
    "reply",
    [
        make_error_reply(403, "AccessDeniedException", "You don't have access to the model."),
        make_error_reply(403, "ExpiredTokenException", "The security token included in the request is expired"),
        make_error_reply(404, "ResourceNotFoundException", "Model not found."),
        make_error_reply(400, "ValidationException", "The provided model identifier is invalid."),
    ],
)
def test_an_error_of_the_account_or_model_stops_the_job_at_once(read_error, reply):
    line = read_error(reply_in_order(reply), ["x"] * 40)
    kind = reply.headers["x-amzn-ErrorType"].partition(":")[0]
    assert line.startswith(f"infer.engine: {MODEL}: {kind}: {reply.body['message']}")
    assert KEPT_ANSWERS in line


def test_a_failed_connection_stops_the_job_at_once(folder, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{find_free_port()}")
    engine = BedrockEngine(folder, make_infer(retries=8), None)
    with pytest.raises(InputError, match=rf"\Ainfer.engine: {MODEL}: .*connect.*\Z"):
        engine.complete([make_request("x")] * 9, lambda *_: None)
    engine.client.close()


@pytest.mark.parametrize(
    "message", ["`temperature` is deprecated for this model.", "This model doesn't support the temperature field."]
)
def test_a_model_with_a_fixed_temperature_gets_requests_without_it(ask, message):
    rejected = make_error_reply(400, "ValidationException", message)
    answer = lambda body: rejected if "temperature" in body["inferenceConfig"] else make_reply("x")  # noqa: E731
    completions, service = ask(answer, ["x"] * 9, concurrency=1)
    assert {(completion.text, completion.sampled) for completion in completions} == {("x", True)}
    assert len(service.requests) == 10


def test_after_a_fatal_error_no_more_requests_are_sent(folder, monkeypatch):
    with serve_replies(lambda _: make_error_reply(403, "AccessDeniedException")) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        engine = BedrockEngine(folder, make_infer(concurrency=2), None)
        with pytest.raises(InputError):
            engine.complete([make_request("x")] * 200, lambda *_: None)
        engine.client.close()
    assert len(service.requests) <= 20


@pytest.mark.slow
def test_after_ctrl_c_no_more_requests_are_sent(folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with serve_replies(lambda _: make_reply("x", wait=0.02)) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        engine = BedrockEngine(folder, make_infer(concurrency=2), None)
        with pytest.raises(KeyboardInterrupt):
            engine.complete([make_request("x")] * 60, interrupt)
        engine.client.close()
    assert len(service.requests) <= 20


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (make_reply("[]", "end_turn"), Finish.stop, "[]"),
        (make_reply("[]", "stop_sequence"), Finish.stop, "[]"),
        (make_reply("[{", "max_tokens"), Finish.length, "[{"),
        (make_reply("[{", "model_context_window_exceeded"), Finish.context, "[{"),
        (make_reply("Sorry", "content_filtered"), Finish.refused, "Sorry"),
        (make_reply("Sorry", "guardrail_intervened"), Finish.refused, "Sorry"),
        (make_error_reply(400, "ValidationException", "Input is too long for requested model."), Finish.context, ""),
    ],
)
def test_the_finish_reason_and_the_text_of_an_answer_are_read(ask, reply, finish, text):
    (completion,), _ = ask(reply_in_order(reply))
    assert (completion.finish, completion.text) == (finish, text)


NOT_JSON = {"Content-Length": "1", "Connection": "close"}
CONVERSE = make_reply("x").body


def with_message(**message):
    return Reply({**CONVERSE, "output": {"message": {"role": "assistant", **message}}})


BAD_REPLIES = [
    Reply({}, headers=NOT_JSON),
    Reply({}, headers={"Content-Length": "0", "Connection": "close"}),
    *(Reply(body) for body in ([1], "x", None, {}, {"message": "Internal", "__type": "InternalServerException"})),
    with_message(content=[None]),
    with_message(content="x"),
    make_reply("", "malformed_model_output"),
    Reply("<html>403</html>", 403),  # type: ignore[arg-type]
    make_error_reply(403, "AccessDeniedException"),
    make_error_reply(400, "ValidationException", "cannot parse 'credit balance b'"),
]


@pytest.mark.parametrize("reply", BAD_REPLIES)
@pytest.mark.parametrize("comments", ["b", "baaa", "aaab"])
def test_one_comment_with_a_bad_reply_fails_alone_whatever_its_place(ask, reply, comments):
    answer = lambda body: reply if body["messages"][-1]["content"][0]["text"] == "b" else make_reply("x")  # noqa: E731
    completions, _ = ask(answer, comments, concurrency=1, retries=1)
    expected = [Finish.failed if comment == "b" else Finish.stop for comment in comments]
    assert [completion.finish for completion in completions] == expected


def test_a_service_that_never_gives_an_answer_stops_the_job_at_once(read_error):
    line = read_error(reply_in_order(Reply({}, headers=NOT_JSON)), ["x"] * 40)
    assert line.startswith(f"infer.engine: {MODEL}: ")


def test_half_of_a_surrogate_pair_is_replaced(ask):
    (completion,), _ = ask(reply_in_order(make_reply("a\ud83d b")))
    assert completion.text == "a\ufffd b"


def test_an_invalid_request_does_not_affect_other_requests(ask):
    bad = make_error_reply(400, "ValidationException", "one\ntwo")
    completions, _ = ask(lambda body: bad if read_number(body) == 3 else make_reply("x"), map(str, range(20)))
    assert [completion.finish for completion in completions] == [Finish.stop] * 3 + [Finish.failed] + [Finish.stop] * 16
    assert completions[3].reason == "ValidationException: one two"


@pytest.mark.parametrize("usage", [None, {}, {"inputTokens": None, "outputTokens": None, "totalTokens": None}])
def test_token_counts_that_the_service_leaves_out_are_0(ask, usage):
    reply = make_reply("x")
    reply.body["usage"] = usage
    (completion,), _ = ask(reply_in_order(reply))
    assert completion == Completion("x", Finish.stop, 0, 0, 0)


def test_an_answer_is_the_concatenation_of_its_text_parts(ask):
    reply = make_reply("[")
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me see."}}}
    reply.body["output"]["message"]["content"] = [thought, {"text": "["}, {"text": "]"}]
    (completion,), _ = ask(reply_in_order(reply))
    assert completion.text == "[]"


def test_input_tokens_include_cached_tokens(ask):
    (completion,), _ = ask(reply_in_order(make_reply("x", inputTokens=10, outputTokens=7, cacheReadInputTokens=90)))
    assert completion == Completion("x", Finish.stop, tokens_in=100, cached_in=90, tokens_out=7)


def test_the_region_can_be_set_by_aws_region(ask, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    (completion,), _ = ask(reply_in_order(make_reply("x")))
    assert completion.text == "x"


def test_the_error_of_a_missing_region_names_the_variable(read_error, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    line = read_error(reply_in_order(make_reply("x")))
    assert line.startswith("infer.engine: bedrock: ")
    assert "region" in line
    assert "AWS_REGION" in line


def test_missing_aws_keys_are_an_error_of_one_line(read_error, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    assert "credentials" in read_error(reply_in_order(make_reply("x")))


def test_the_error_of_a_missing_aws_profile_names_it(read_error, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in read_error(reply_in_order(make_reply("x")))


def test_infer_constrain_with_bedrock_is_an_error(folder):
    task = {"levels": ["L1"], "has_content": False, "emotions": [], "most_segments": 2}
    constraint = LabelConstraint(Taxonomy(("L1",), {("door",): ""}), task)
    with pytest.raises(InputError, match=r"\Ainfer.constrain: .*false.*\Z"):
        open_engine(folder, make_infer(constrain=True), constraint)


def test_a_model_with_weights_is_an_error_with_bedrock(tmp_path):
    tiny_model.make_model().save_pretrained(tmp_path / "tuned")
    with pytest.raises(InputError, match=rf"\Ainfer.engine: .*{tmp_path / 'tuned'}.*\Z"):
        BedrockEngine(tmp_path / "tuned", make_infer(), None)


def test_system_messages_are_separate_from_the_turns(ask):
    turns = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "Bye")]
    chat = [{"role": role, "content": content} for role, content in turns]
    _, service = ask(reply_in_order(make_reply("x")), [Request("", chat)])
    (body,) = service.requests
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"] == [{"role": role, "content": [{"text": content}]} for role, content in turns[1:]]
