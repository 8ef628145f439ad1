"""Answers by a service that speaks OpenAI's protocol, such as `vllm serve`.

The environment says where: OPENAI_BASE_URL, OPENAI_API_KEY. A model in a folder of this project is asked with tokens,
made here: the very ones of the other engines, and free of control tokens in comments. A hosted one gets messages.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.inference.engine import Completion, Constraint, Done, Finish, Request
from alloy.inference.pace import retry_after
from alloy.inference.service import Service
from alloy.inference.service_errors import Kind, ServiceError, kind_of, one_line, read_error, rejects
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import bias_against_control, encode, render_prompt
from alloy.modeling.model_folder import context_length, load_tokenizer, read_hosted_name

FINISH = {"length": Finish.length, "model_length": Finish.context}
FINISH |= dict.fromkeys(("content_filter", "safety", "recitation", "prohibited_content", "sensitive"), Finish.refused)
BROKEN = ("error", "abort")  # the service stopped an answer, which has no worth
CONNECT = 10.0  # seconds to reach the service
LIMIT = "max_completion_tokens"  # older services call it max_tokens


class OpenAIEngine:
    """Asks for `concurrency` answers at once."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """Answers are held to the grammar of `constraint`, which only vLLM's servers know; None leaves them free."""
        service = read_hosted_name(folder)
        self.model = service or str(folder)
        self.tokenizer: Any = None if service else load_tokenizer(folder)
        self.context = 0 if service else context_length(folder)
        if not service and not os.environ.get("OPENAI_BASE_URL"):
            raise InputError(
                f"OPENAI_BASE_URL: not set; name the server of {folder} that `make serve` starts: "
                "http://localhost:8000/v1"
            )
        if service and not os.environ.get("OPENAI_API_KEY"):
            raise InputError("OPENAI_API_KEY: not set; give the service's key, and OPENAI_BASE_URL unless it is OpenAI")
        self.infer = infer
        self.constraint = constraint
        self.bias = bias_against_control(self.tokenizer) if constraint and self.tokenizer else {}
        self.service = Service(self.model, infer)
        self.rejected: set[str] = set()  # parameters that the service does not take

    def complete(self, requests: list[Request], done: Done) -> list[Completion]:
        """Return one completion per request, in their order."""
        return asyncio.run(self._complete(requests, done))

    async def _complete(self, requests: list[Request], done: Done) -> list[Completion]:
        from httpx2 import InvalidURL, Timeout
        from openai import AsyncOpenAI, OpenAIError

        prompts: list[Any] = [request.messages for request in requests]
        if self.tokenizer:
            prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, chat) for chat in prompts])
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a server of one's own asks for none
        timeout = Timeout(self.infer.timeout, connect=min(self.infer.timeout, CONNECT))
        try:
            client = AsyncOpenAI(api_key=key, max_retries=0, timeout=timeout)
        except (OpenAIError, InvalidURL, ValueError) as error:
            raise InputError(f"OPENAI_BASE_URL: {error}; write an address such as http://localhost:8000/v1") from None
        async with client:
            self.service.name = f"{self.model} at {client.base_url}"

            async def ask(number: int) -> Completion:
                return await self._ask(client, requests[number], prompts[number])

            return await self.service.answer_all(len(requests), ask, done)

    async def _ask(self, client: Any, request: Request, prompt: Any) -> Completion:  # noqa: ANN401 (messages, or tokens)
        room = self.infer.max_new_tokens
        if self.tokenizer:
            room = min(room, self.context - len(prompt))
        if room <= 0:
            reason = f"the prompt has {len(prompt)} tokens, the model's context {self.context}"
            return Completion("", Finish.context, len(prompt), 0, 0, reason=reason)
        more = self._held(request.source)
        while True:
            asked = self._parameters(prompt, room)
            try:
                return read_completion(await _post(client, asked, more), sampled="temperature" not in asked)
            except RejectedError as error:
                parameter = next((name for name in ("temperature", LIMIT) if name in asked and error.names(name)), None)
                if parameter is None:
                    raise error.error from None
                self.rejected.add(parameter)

    def _held(self, source: str) -> Row | None:
        """Return what is added to a request so that its answer is held to the grammar."""
        if self.constraint is None:
            return None
        held: Row = {"structured_outputs": {"grammar": self.constraint.grammar(source)}}
        return {**held, "logit_bias": self.bias} if self.bias else held

    def _parameters(self, prompt: Any, room: int) -> Row:  # noqa: ANN401 (messages, or tokens)
        asked: Row = {"model": self.model, "temperature": 0.0}
        asked |= {"prompt": prompt, "max_tokens": room} if self.tokenizer else {"messages": prompt, LIMIT: room}
        if LIMIT in self.rejected and LIMIT in asked:
            asked["max_tokens"] = asked.pop(LIMIT)
        if "temperature" in self.rejected:
            del asked["temperature"]
        return asked


class RejectedError(Exception):
    """A request that the service does not understand; `error` is what that means if nothing can be left out."""

    def __init__(self, status: int, message: str, error: ServiceError) -> None:
        """Keep what the service said."""
        super().__init__(message)
        self.status, self.message, self.error = status, message, error

    def names(self, parameter: str) -> bool:
        """Return whether it is `parameter` that the service does not take."""
        return rejects(self.status, self.message, parameter)


async def _post(client: Any, asked: Row, more: Row | None) -> str:  # noqa: ANN401 (an AsyncOpenAI)
    """Return the body of the answer to a request; what goes wrong becomes a `ServiceError`."""
    import httpx2
    import openai

    api = client.completions if "prompt" in asked else client.chat.completions
    try:
        reply = await api.with_raw_response.create(**asked, extra_body=more)
    except openai.APIStatusError as error:
        raise _rejected(error.status_code, error.response.headers, error.response.text) from None
    except openai.APITimeoutError as error:
        late = isinstance(error.__cause__, httpx2.ConnectTimeout)
        reason = "no connection in time" if late else "no answer within infer.timeout"
        raise ServiceError(Kind.unreachable if late else Kind.again, reason) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        passing = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)
        reason = f"no connection ({type(cause).__name__}: {cause})"
        raise ServiceError(Kind.again if isinstance(cause, passing) else Kind.unreachable, reason) from None
    except UnicodeError as error:
        raise ServiceError(Kind.failed, f"the request cannot be sent: {error}") from None
    except (openai.OpenAIError, httpx2.InvalidURL) as error:
        raise ServiceError(Kind.unreachable, f"{type(error).__name__}: {error}") from None
    return reply.text if isinstance(reply.text, str) else reply.text()


def _rejected(status: int, headers: Any, text: str) -> Exception:  # noqa: ANN401 (a mapping of httpx)
    """Return the error that an answer with a status of 400 or more stands for."""
    try:
        code, message = read_error(json.loads(text))
    except ValueError:
        code, message = "", text
    reason = f"{status} {code}: {message}" if code else f"{status}: {message}"
    error = ServiceError(kind_of(status, code, message), reason, retry_after(headers, text))
    return RejectedError(status, message, error) if error.kind is Kind.failed else error


def read_completion(text: str, *, sampled: bool = False) -> Completion:
    """Return the completion in the body of an answer; one without any raises `ServiceError`.

    Services differ: there may be no choices (a filter), a null text or usage, parts instead of a text, or an error.
    """
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or ("choices" not in body and "error" not in body):
        raise ServiceError(Kind.unreachable, "the answer is not a completion; check OPENAI_BASE_URL")
    if body.get("error"):
        code, message = read_error(body)
        status = next((int(part) for part in code.split() if part.isdigit() and len(part) == 3), 500)
        raise ServiceError(kind_of(status, code, message), f"{code}: {message}" if code else message)
    tokens_in, cached, tokens_out = _tokens(body.get("usage"))
    if not body["choices"]:
        reason = "no answer was chosen, most likely by a content filter"
        return Completion("", Finish.refused, tokens_in, cached, tokens_out, reason=reason)
    choice = body["choices"][0]
    message = choice.get("message") or {}
    said, why = message.get("content") or choice.get("text") or "", str(choice.get("finish_reason") or "").lower()
    if isinstance(said, list):
        said = "".join(str(part.get("text") or "") for part in said if isinstance(part, dict))
    if why in BROKEN:
        raise ServiceError(Kind.again, f"the service ended its answer (finish_reason: {why})")
    finish, reason = FINISH.get(why, Finish.stop), ""
    if message.get("refusal") and not said:
        finish, said, reason = Finish.refused, "", str(message["refusal"])
    elif finish in (Finish.refused, Finish.context):
        reason = f"finish_reason: {why}"
    return Completion(said, finish, tokens_in, cached, tokens_out, one_line(reason), sampled)


def _tokens(usage: Any) -> tuple[int, int, int]:  # noqa: ANN401 (whatever a service sent)
    """Return the tokens in, those of them from a cache, and out; what is not counted is 0."""
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details") or {}
    found = (usage.get("prompt_tokens"), details.get("cached_tokens"), usage.get("completion_tokens"))
    tokens_in, cached, tokens_out = (int(value) if isinstance(value, int | float) else 0 for value in found)
    return tokens_in, cached, tokens_out
