"""An engine for Amazon Bedrock's Converse API, for models such as Nova.

boto3 reads region and keys from its usual variables: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and so on.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
    replace_surrogates,
)
from alloy.inference.settings import Infer
from alloy.modeling.model_folder import read_hosted_name

FINISH = {
    "max_tokens": Finish.length,
    "model_context_window_exceeded": Finish.context,
    "content_filtered": Finish.refused,
    "guardrail_intervened": Finish.refused,
}
ABORTED = ("malformed_model_output", "malformed_tool_use")  # the answer is not usable


class BedrockEngine:
    """Sends up to `concurrency` requests at a time."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """`constraint` must be None: Bedrock has no constrained decoding."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        model = read_hosted_name(folder)
        if model is None:
            raise InputError(
                f"infer.engine: bedrock needs a hosted model (`model: {{hosted: ...}}`), but {folder} has weights on "
                "this machine; set transformers or vllm"
            )
        if constraint:
            raise InputError("infer.constrain: expected false, got true; Bedrock has no constrained decoding")
        self.model, self.infer = model, infer
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},  # `Service` retries, at one rate for all requests
            connect_timeout=min(infer.timeout, 10.0),
            read_timeout=infer.timeout,
            max_pool_connections=infer.concurrency,
        )
        try:
            self.client: Any = boto3.client("bedrock-runtime", region_name=os.environ.get("AWS_REGION"), config=config)
        except BotoCoreError as error:
            raise InputError(f"infer.engine: bedrock: {error}; run `aws configure`, or set AWS_REGION") from None
        self.service = Service(model, infer)
        self.greedy = True  # false once the model has rejected `temperature`

    def complete(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """Return one completion per request, in the same order; call `on_completion` with each when it ends."""
        return asyncio.run(self._complete_async(requests, on_completion))

    async def _complete_async(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(self.infer.concurrency)
        asked = [*requests, make_check_request(requests[0])] if requests else []

        async def send(index: int) -> Completion:
            return await loop.run_in_executor(pool, partial(self._send_request, asked[index]))

        try:
            return await self.service.answer_all(len(requests), send, on_completion)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _send_request(self, request: Request) -> Completion:
        turns = [message for message in request.messages if message["role"] != "system"]
        messages = [{"role": turn["role"], "content": [{"text": turn["content"]}]} for turn in turns]
        system = [{"text": message["content"]} for message in request.messages if message["role"] == "system"]
        texts = [request.source, *(message["content"] for message in request.messages)]
        while True:
            limits: Row = {"maxTokens": self.infer.max_new_tokens}
            if self.greedy:
                limits["temperature"] = 0.0
            fields: Row = {"modelId": self.model, "messages": messages, "system": system, "inferenceConfig": limits}
            try:
                with read_guarded():
                    return read_reply(self._converse(fields, texts), sampled="temperature" not in limits)
            except ServiceError as error:
                if not ("temperature" in limits and is_parameter_rejected(error.status, error.message, "temperature")):
                    raise
                self.greedy = False

    def _converse(self, fields: Row, texts: list[str]) -> Row:
        """Return the reply to a request with these texts; raise `ServiceError` if there is none."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.client.converse(**fields)
        except ClientError as error:
            status, code, message, headers = _read_client_error(error)
            raise make_error(status, code, message, texts, code, read_retry_after(headers)) from None
        except BotoCoreError as error:
            raise ServiceError(_classify_connection_error(error), str(error)) from None


def read_reply(reply: Row, *, sampled: bool = False) -> Completion:
    """Return the completion in a Converse reply. A text or count that is missing or null becomes empty or 0.

    Raise `ServiceError` if the reply is something else. boto3 returns an empty reply for a body that is not JSON.
    """
    message = get_value(get_value(reply, "output", Row()), "message", Row())
    stop_reason = get_value(reply, "stopReason", "")
    if not stop_reason and not message:
        raise ServiceError(ErrorKind.malformed, "the reply is not an answer in the format of Converse")
    if stop_reason in ABORTED:
        raise ServiceError(ErrorKind.retry, f"the answer is not usable (stopReason: {stop_reason})")
    parts: list[Row] = get_value(message, "content", [])
    text = "".join(get_value(part, "text", "") for part in parts)
    finish = FINISH.get(stop_reason, Finish.stop)
    usage = reply.get("usage")
    cached = get_count(usage, "cacheReadInputTokens")
    return Completion(
        replace_surrogates(text),
        finish,
        tokens_in=get_count(usage, "inputTokens") + cached,
        cached_in=cached,
        tokens_out=get_count(usage, "outputTokens"),
        reason=format_one_line(f"stopReason: {stop_reason}") if finish in UNANSWERED else "",
        sampled=sampled,
    )


def _read_client_error(error: Any) -> tuple[int, str, str, Row]:  # noqa: ANN401 (botocore's ClientError, whose `response` has no type)
    """Return (status, code, message, headers) of an error that Bedrock sent."""
    body, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 500)
    return status, str(body.get("Code", "")), str(body.get("Message", "")), metadata.get("HTTPHeaders", {})


def _classify_connection_error(error: Exception) -> ErrorKind:
    """Return the kind of an error that botocore itself raised, such as a connection that failed."""
    from botocore import exceptions

    if isinstance(error, exceptions.EndpointConnectionError | exceptions.ConnectTimeoutError | exceptions.SSLError):
        return ErrorKind.unreachable
    if isinstance(error, exceptions.ProxyConnectionError):
        return ErrorKind.unreachable
    if isinstance(
        error, exceptions.HTTPClientError | exceptions.IncompleteReadError
    ):  # a timeout, or a closed connection
        return ErrorKind.retry
    return ErrorKind.failed if isinstance(error, exceptions.ParamValidationError) else ErrorKind.fatal
