"""An engine for services with OpenAI's API, such as `vllm serve`.

Address and key come from the environment: OPENAI_BASE_URL, OPENAI_API_KEY.

A model in a folder of this project gets prompts as token ids. So it reads the same tokens as with the other engines,
and a comment that contains the text of a control token cannot insert this token. A hosted model gets messages.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.inference.engine import Completion, Constraint, Finish, OnCompletion, Request
from alloy.inference.rate_limiter import read_retry_after
from alloy.inference.service import Service
from alloy.inference.service_errors import (
    ErrorKind,
    ServiceError,
    classify_error,
    format_one_line,
    is_parameter_rejected,
    read_error,
)
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import encode, make_control_token_bias, render_prompt
from alloy.modeling.model_folder import load_context_length, load_tokenizer, read_hosted_name

FINISH = {"length": Finish.length, "model_length": Finish.context}
FINISH |= dict.fromkeys(("content_filter", "safety", "recitation", "prohibited_content", "sensitive"), Finish.refused)
ABORTED = ("error", "abort")  # the service stopped in the middle of the answer, so it is not usable
CONNECT_SECONDS = 10.0  # seconds to reach the service
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
        from openai import AsyncOpenAI, OpenAIError

        prompts: list[Any] = [request.messages for request in requests]
        if self.tokenizer:
            prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, chat) for chat in prompts])
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a local server needs no key, but the client does
        timeout = Timeout(self.infer.timeout, connect=min(self.infer.timeout, CONNECT_SECONDS))
        try:
            client = AsyncOpenAI(api_key=key, max_retries=0, timeout=timeout)
        except (OpenAIError, InvalidURL, ValueError) as error:
            raise InputError(f"OPENAI_BASE_URL: {error}; set an address such as http://localhost:8000/v1") from None
        async with client:
            self.service.name = f"{self.model} at {client.base_url}"

            async def send(index: int) -> Completion:
                return await self._send_request(client, requests[index], prompts[index])

            return await self.service.answer_all(len(requests), send, on_completion)

    async def _send_request(self, client: Any, request: Request, prompt: Any) -> Completion:  # noqa: ANN401 (messages, or tokens)
        max_tokens = self.infer.max_new_tokens
        if self.tokenizer:
            max_tokens = min(max_tokens, self.context - len(prompt))
        if max_tokens <= 0:
            reason = f"the prompt has {len(prompt)} tokens, the model's context {self.context}"
            return Completion("", Finish.context, len(prompt), 0, 0, reason=reason)
        extra = self._make_constraint_fields(request.source)
        while True:
            fields = self._make_request_fields(prompt, max_tokens)
            try:
                return read_completion(await _post_request(client, fields, extra), sampled="temperature" not in fields)
            except RejectedError as error:
                sent = [name for name in ("temperature", LIMIT_PARAMETER) if name in fields]
                parameter = next((name for name in sent if error.names_parameter(name)), None)
                if parameter is None:
                    raise error.error from None
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


class RejectedError(Exception):
    """The service does not accept a request, maybe because of one parameter.

    `error` is the error to raise if the request cannot be sent again without that parameter.
    """

    def __init__(self, status: int, message: str, error: ServiceError) -> None:
        """Keep the status and the message of the service."""
        super().__init__(message)
        self.status, self.message, self.error = status, message, error

    def names_parameter(self, parameter: str) -> bool:
        """Return whether the service rejects `parameter`."""
        return is_parameter_rejected(self.status, self.message, parameter)


async def _post_request(client: Any, fields: Row, extra: Row | None) -> str:  # noqa: ANN401 (an AsyncOpenAI)
    """Return the body of the reply; raise `ServiceError` or `RejectedError` if there is none."""
    import httpx2
    import openai

    api = client.completions if "prompt" in fields else client.chat.completions
    try:
        reply = await api.with_raw_response.create(**fields, extra_body=extra)
    except openai.APIStatusError as error:
        raise _read_status_error(error.status_code, error.response.headers, error.response.text) from None
    except openai.APITimeoutError as error:
        connect_timeout = isinstance(error.__cause__, httpx2.ConnectTimeout)
        reason = "no connection in time" if connect_timeout else "no answer within infer.timeout"
        raise ServiceError(ErrorKind.unreachable if connect_timeout else ErrorKind.retry, reason) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        transient = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)
        reason = f"no connection ({type(cause).__name__}: {cause})"
        raise ServiceError(ErrorKind.retry if isinstance(cause, transient) else ErrorKind.unreachable, reason) from None
    except UnicodeError as error:
        raise ServiceError(ErrorKind.failed, f"the request cannot be sent: {error}") from None
    except (openai.OpenAIError, httpx2.InvalidURL) as error:
        raise ServiceError(ErrorKind.unreachable, f"{type(error).__name__}: {error}") from None
    return reply.text if isinstance(reply.text, str) else reply.text()


def _read_status_error(status: int, headers: Any, text: str) -> Exception:  # noqa: ANN401 (a mapping of httpx)
    """Return the error for a reply with a status of 400 or more."""
    try:
        code, message = read_error(json.loads(text))
    except ValueError:
        code, message = "", text
    reason = f"{status} {code}: {message}" if code else f"{status}: {message}"
    error = ServiceError(classify_error(status, code, message), reason, read_retry_after(headers, text))
    return RejectedError(status, message, error) if error.kind is ErrorKind.failed else error


def read_completion(text: str, *, sampled: bool = False) -> Completion:
    """Return the completion in the body of a reply; raise `ServiceError` if it has none.

    Services differ: the choices can be empty (a content filter), text or usage can be null, the text can be a list of
    parts, and a reply with status 200 can hold an error.
    """
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or ("choices" not in body and "error" not in body):
        raise ServiceError(ErrorKind.unreachable, "the answer is not a completion; check OPENAI_BASE_URL")
    if body.get("error"):
        code, message = read_error(body)
        status = next((int(part) for part in code.split() if part.isdigit() and len(part) == 3), 500)
        raise ServiceError(classify_error(status, code, message), f"{code}: {message}" if code else message)
    tokens_in, cached, tokens_out = _read_usage(body.get("usage"))
    if not body["choices"]:
        reason = "the reply has no choices, most likely because of a content filter"
        return Completion("", Finish.refused, tokens_in, cached, tokens_out, reason=reason)
    choice = body["choices"][0]
    message = choice.get("message") or {}
    answer = message.get("content") or choice.get("text") or ""
    finish_reason = str(choice.get("finish_reason") or "").lower()
    if isinstance(answer, list):
        answer = "".join(str(part.get("text") or "") for part in answer if isinstance(part, dict))
    if finish_reason in ABORTED:
        raise ServiceError(ErrorKind.retry, f"the service aborted its answer (finish_reason: {finish_reason})")
    finish, reason = FINISH.get(finish_reason, Finish.stop), ""
    if message.get("refusal") and not answer:
        finish, answer, reason = Finish.refused, "", str(message["refusal"])
    elif finish in (Finish.refused, Finish.context):
        reason = f"finish_reason: {finish_reason}"
    return Completion(answer, finish, tokens_in, cached, tokens_out, format_one_line(reason), sampled)


def _read_usage(usage: Any) -> tuple[int, int, int]:  # noqa: ANN401 (any JSON value)
    """Return (prompt tokens, those from a cache, completion tokens); a count that is missing becomes 0."""
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details") or {}
    counts = (usage.get("prompt_tokens"), details.get("cached_tokens"), usage.get("completion_tokens"))
    tokens_in, cached, tokens_out = (int(value) if isinstance(value, int | float) else 0 for value in counts)
    return tokens_in, cached, tokens_out
