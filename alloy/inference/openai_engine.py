"""An engine for services with OpenAI's API, such as `vllm serve`.

Address and key come from the environment: OPENAI_BASE_URL, OPENAI_API_KEY.

A model in a folder of this project gets prompts as token ids. So it reads the same tokens as with the other engines,
and a comment that contains the text of a control token cannot insert this token. A hosted model gets messages.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.inference.engine import UNANSWERED, Completion, Constraint, Finish, OnCompletion, Request
from alloy.inference.rate_limiter import read_retry_after
from alloy.inference.service import Service, make_check_request, read_guarded
from alloy.inference.service_errors import (
    ErrorKind,
    ServiceError,
    format_one_line,
    get_count,
    get_value,
    is_parameter_rejected,
    make_error,
    read_error,
    replace_surrogates,
)
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import encode, make_control_token_bias, render_prompt
from alloy.modeling.model_folder import load_context_length, load_tokenizer, read_hosted_name

FINISH = {  # by finish_reason; the model ended answers with other reasons
    "length": Finish.length,
    "max_tokens": Finish.length,
    "model_length": Finish.context,
    "model_context_window_exceeded": Finish.context,
}
# Parts of the reasons of refused answers, such as `image_safety` or `content_filter: prohibited_content`.
REFUSAL_WORDS = (
    *("content_filter", "refusal", "safety", "sensitive"),
    *("recitation", "prohibited_content", "blocklist", "spii"),  # Gemini
)
# The service stopped in the middle of the answer, so it is not usable.
ABORTED = ("error", "abort", "insufficient_system_resource", "network_error")
ENDED = ("", "stop", "eos", "end_turn", "stop_sequence")  # with other reasons, an answer without a text is an error
CONNECT_SECONDS = 10.0  # seconds to reach the service
NO_ANSWER_IN_TIME = "no answer within infer.timeout"
MAX_REPLY_BYTES = 16 * 2**20  # an answer has a few KB
COMPLETIONS = ("chat.completion", "text_completion")  # `object` of a completion
LIMIT_PARAMETER = "max_completion_tokens"  # older services call it max_tokens


class OpenAIEngine:
    """Sends up to `concurrency` requests at a time."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """Answers follow the `constraint`, which only vLLM's server supports. With None, they are unconstrained."""
        service = read_hosted_name(folder)
        self.model = service or str(folder)
        self.tokenizer: Any = None if service else load_tokenizer(folder)
        self.context = 0 if service else load_context_length(folder)
        if not service and not os.environ.get("OPENAI_BASE_URL"):
            raise InputError(
                f"OPENAI_BASE_URL: not set; start a server for {folder} with `make serve`, and set OPENAI_BASE_URL to "
                "http://localhost:8000/v1"
            )
        if service and not os.environ.get("OPENAI_API_KEY"):
            raise InputError(
                "OPENAI_API_KEY: not set; set OPENAI_API_KEY to your key, and for a service other than OpenAI, also "
                "OPENAI_BASE_URL to the address"
            )
        self.infer = infer
        self.constraint = constraint
        self.bias = make_control_token_bias(self.tokenizer) if constraint and self.tokenizer else {}
        self.service = Service(self.model, infer)
        self.rejected: set[str] = set()  # names of parameters that the service does not accept

    def complete(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """Return one completion per request, in the same order; call `on_completion` with each when it ends."""
        return asyncio.run(self._complete_async(requests, on_completion))

    async def _complete_async(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        from httpx2 import InvalidURL, Timeout
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError

        asked = [*requests, make_check_request(requests[0])] if requests else []
        prompts: list[Any] = [request.messages for request in asked]
        if self.tokenizer:
            prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, chat) for chat in prompts])
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a local server needs no key, but the client does
        timeout = Timeout(self.infer.timeout, connect=min(self.infer.timeout, CONNECT_SECONDS))
        try:
            http = DefaultAsyncHttpxClient(event_hooks={"response": [_limit_reply]})
            client = AsyncOpenAI(api_key=key, max_retries=0, timeout=timeout, http_client=http)
        except (OpenAIError, InvalidURL, ValueError) as error:
            raise InputError(f"OPENAI_BASE_URL: {error}; set an address such as http://localhost:8000/v1") from None
        async with client:
            self.service.name = f"{self.model} at {client.base_url}"

            async def send(index: int) -> Completion:
                return await self._send_request(client, asked[index], prompts[index])

            return await self.service.answer_all(len(requests), send, on_completion)

    async def _send_request(self, client: Any, request: Request, prompt: Any) -> Completion:  # noqa: ANN401 (messages, or tokens)
        max_tokens = self.infer.max_new_tokens
        if self.tokenizer:
            max_tokens = min(max_tokens, self.context - len(prompt))
        if max_tokens <= 0:
            reason = f"the prompt has {len(prompt)} tokens, the model's context {self.context}"
            return Completion("", Finish.context, len(prompt), 0, 0, reason=reason)
        extra = self._make_constraint_fields(request.source)
        texts = [request.source, *(message["content"] for message in request.messages)]
        while True:
            fields = self._make_request_fields(prompt, max_tokens)
            try:
                body = await _post_request(client, fields, extra, texts, self.infer.timeout)
                with read_guarded():
                    return read_completion(body, texts, sampled="temperature" not in fields)
            except ServiceError as error:
                sent = [name for name in ("temperature", LIMIT_PARAMETER) if name in fields]
                parameter = next(
                    (name for name in sent if is_parameter_rejected(error.status, error.message, name)), None
                )
                if parameter is None:
                    raise
                self.rejected.add(parameter)  # and try again without it

    def _make_constraint_fields(self, source: str) -> Row | None:
        """Return the fields that make the server follow the grammar, or None without a constraint."""
        if self.constraint is None:
            return None
        fields: Row = {"structured_outputs": {"grammar": self.constraint.make_grammar(source)}}
        return {**fields, "logit_bias": self.bias} if self.bias else fields

    def _make_request_fields(self, prompt: Any, max_tokens: int) -> Row:  # noqa: ANN401 (messages, or tokens)
        """Return the fields of a request, without the parameters that the service has rejected."""
        fields: Row = {"model": self.model, "temperature": 0.0}
        if self.tokenizer:
            fields |= {"prompt": prompt, "max_tokens": max_tokens}
        else:
            fields |= {"messages": prompt, LIMIT_PARAMETER: max_tokens}
        if LIMIT_PARAMETER in self.rejected and LIMIT_PARAMETER in fields:
            fields["max_tokens"] = fields.pop(LIMIT_PARAMETER)
        if "temperature" in self.rejected:
            del fields["temperature"]
        return fields


async def _limit_reply(response: Any) -> None:  # noqa: ANN401 (a response of httpx)
    """Read the text of a reply as UTF-8, whatever its headers say, and at most `MAX_REPLY_BYTES` of it.

    JSON is UTF-8. A charset such as `utf-16`, or `hex`, which Python takes for one, makes httpx fail.
    """
    from httpx2 import AsyncByteStream, DecodingError

    class LimitedStream(AsyncByteStream):
        def __init__(self, stream: Any) -> None:  # noqa: ANN401
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in self.stream:
                size += len(part)
                if size > MAX_REPLY_BYTES:
                    raise DecodingError(f"expected at most {MAX_REPLY_BYTES:,} bytes in a reply, got more")
                yield part

        async def aclose(self) -> None:
            await self.stream.aclose()

    response.encoding = "utf-8-sig"  # without a byte order mark
    response.stream = LimitedStream(response.stream)


async def _post_request(
    client: Any,  # noqa: ANN401 (an AsyncOpenAI)
    fields: Row,
    extra: Row | None,
    texts: list[str],
    seconds: float,
) -> str:
    """Return the body of the reply to a request with these texts; raise `ServiceError` if there is none.

    The timeout of httpx is that of each read. `seconds` limits the whole request, also if the service sends a byte per
    second, as some do while they are busy.
    """
    import httpx2
    import openai

    api = client.completions if "prompt" in fields else client.chat.completions
    try:
        async with asyncio.timeout(seconds + min(seconds, CONNECT_SECONDS)):
            reply = await api.with_raw_response.create(**fields, extra_body=extra)
    except TimeoutError:
        raise ServiceError(ErrorKind.retry, NO_ANSWER_IN_TIME) from None
    except openai.APIStatusError as error:
        with read_guarded():
            raise _read_status_error(error.status_code, error.response.headers, error.response.text, texts) from None
    except openai.APITimeoutError as error:
        connect_timeout = isinstance(error.__cause__, httpx2.ConnectTimeout)
        reason = "no connection in time" if connect_timeout else NO_ANSWER_IN_TIME
        raise ServiceError(ErrorKind.unreachable if connect_timeout else ErrorKind.retry, reason) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        transient = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)
        kind = ErrorKind.retry if isinstance(cause, transient) else ErrorKind.unreachable
        if isinstance(cause, httpx2.DecodingError):
            raise ServiceError(ErrorKind.malformed, f"the reply cannot be read: {cause}") from None
        raise ServiceError(kind, f"no connection ({type(cause).__name__}: {cause})") from None
    except UnicodeError as error:
        raise ServiceError(ErrorKind.failed, f"the request cannot be sent: {error}") from None
    except (openai.OpenAIError, httpx2.InvalidURL) as error:
        raise ServiceError(ErrorKind.unreachable, f"{type(error).__name__}: {error}") from None
    with read_guarded():
        return reply.text if isinstance(reply.text, str) else reply.text()


def _read_status_error(status: int, headers: Any, text: str, texts: list[str]) -> ServiceError:  # noqa: ANN401 (a mapping of httpx)
    """Return the error for a reply with a status of 400 or more."""
    try:
        code, message = read_error(json.loads(text))
    except (ValueError, RecursionError):
        code, message = "", text
    return make_error(status, code, message, texts, f"{status} {code}".strip(), read_retry_after(headers, text))


def read_completion(text: str, texts: list[str] | None = None, *, sampled: bool = False) -> Completion:
    """Return the completion in the body of a reply to a request with these `texts`.

    Raise `ServiceError` if it has none. Services differ: the choices can be empty or missing (a content filter), text
    or usage can be null, the text can be a list of parts, and a reply with status 200 can hold an error.
    """
    body = _parse_body(text)
    _raise_error_of(body, texts or [])
    tokens_in, cached, tokens_out = _read_usage(body.get("usage"))
    choices: list[Any] = get_value(body, "choices", [])
    if not choices:
        reason = "the reply has no choices, most likely because of a content filter"
        return Completion("", Finish.refused, tokens_in, cached, tokens_out, reason=reason)
    choice = choices[0]
    if not isinstance(choice, dict):
        raise ServiceError(ErrorKind.malformed, "malformed reply: the first of its choices is not an object")
    message = get_value(choice, "message", Row())
    answer = replace_surrogates(_read_content(message.get("content")) or get_value(choice, "text", ""))
    finish_reason = str(choice.get("finish_reason") or "").lower().replace("-", "_")
    is_refused = any(word in finish_reason for word in REFUSAL_WORDS)
    finish, reason = Finish.refused if is_refused else FINISH.get(finish_reason, Finish.stop), ""
    if finish_reason in ABORTED:
        raise ServiceError(ErrorKind.retry, f"the service aborted its answer (finish_reason: {finish_reason})")
    if message.get("refusal") and not answer:
        finish, reason = Finish.refused, str(message["refusal"])
    elif finish in UNANSWERED:
        reason = f"finish_reason: {finish_reason}"
    elif finish is Finish.stop and not answer and finish_reason not in ENDED:
        raise ServiceError(ErrorKind.retry, f"the answer has no text (finish_reason: {finish_reason})")
    return Completion(answer, finish, tokens_in, cached, tokens_out, format_one_line(reason), sampled)


def _parse_body(text: str) -> Row:
    """Return the JSON object in the body of a reply; an error can be in a list (Gemini)."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    body = body[0] if isinstance(body, list) and body else body
    if isinstance(body, dict) and body.get("object") in COMPLETIONS:
        body.setdefault("choices", [])
    if not isinstance(body, dict) or not body.keys() & {"choices", "error", "message", "msg", "detail"}:
        raise ServiceError(ErrorKind.malformed, "the answer is not a completion; check OPENAI_BASE_URL")
    return body


def _raise_error_of(body: Row, texts: list[str]) -> None:
    """Raise the error in a reply with status 200, if there is one."""
    if body.get("error") or "choices" not in body:
        code, message = read_error(body)
        status = next((int(part) for part in code.split() if part.isdecimal() and len(part) == 3), None)
        if status is None and not body.get("error"):
            raise ServiceError(ErrorKind.malformed, f"the answer is not a completion; check OPENAI_BASE_URL: {message}")
        raise make_error(status or 500, code, message, texts, code)


def _read_content(content: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return the text of a message. Parts without a text, such as thoughts, are left out."""
    if not isinstance(content, list):
        return get_value({"content": content}, "content", "")
    parts = [{"text": part} if isinstance(part, str) else part for part in content]
    return "".join(get_value(part, "text", "") for part in parts)


def _read_usage(usage: Any) -> tuple[int, int, int]:  # noqa: ANN401 (any JSON value)
    """Return (prompt tokens, those from a cache, completion tokens); a count that is missing becomes 0."""
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    return get_count(usage, "prompt_tokens"), get_count(details, "cached_tokens"), get_count(usage, "completion_tokens")
