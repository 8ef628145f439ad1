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
from alloy.inference.service import Service
from alloy.inference.service_errors import ErrorKind, ServiceError, classify_error, is_parameter_rejected
from alloy.inference.settings import Infer
from alloy.modeling.model_folder import read_hosted_name

FINISH = {
    "max_tokens": Finish.length,
    "model_context_window_exceeded": Finish.context,
    "content_filtered": Finish.refused,
    "guardrail_intervened": Finish.refused,
}


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

        async def send(index: int) -> Completion:
            return await loop.run_in_executor(pool, partial(self._send_request, requests[index]))

        try:
            return await self.service.answer_all(len(requests), send, on_completion)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _send_request(self, request: Request) -> Completion:
        from botocore.exceptions import BotoCoreError, ClientError

        turns = [message for message in request.messages if message["role"] != "system"]
        messages = [{"role": turn["role"], "content": [{"text": turn["content"]}]} for turn in turns]
        system = [{"text": message["content"]} for message in request.messages if message["role"] == "system"]
        while True:
            limits: Row = {"maxTokens": self.infer.max_new_tokens}
            if self.greedy:
                limits["temperature"] = 0.0
            fields: Row = {"modelId": self.model, "messages": messages, "system": system, "inferenceConfig": limits}
            try:
                return read_reply(self.client.converse(**fields), sampled="temperature" not in limits)
            except ClientError as error:
                status, code, message, headers = _read_client_error(error)
                if not ("temperature" in limits and is_parameter_rejected(status, message, "temperature")):
                    wait = read_retry_after(headers)
                    raise ServiceError(classify_error(status, code, message), f"{code}: {message}", wait) from None
                self.greedy = False
            except BotoCoreError as error:
                raise ServiceError(_classify_connection_error(error), str(error)) from None


def read_reply(reply: Row, *, sampled: bool = False) -> Completion:
    """Return the completion in a Converse reply. A text or count that is missing or null becomes empty or 0."""
    usage = reply.get("usage") or {}
    reason = reply.get("stopReason") or ""
    content = ((reply.get("output") or {}).get("message") or {}).get("content") or []
    finish = FINISH.get(reason, Finish.stop)
    cached = usage.get("cacheReadInputTokens") or 0
    return Completion(
        "".join(part.get("text") or "" for part in content),
        finish,
        tokens_in=(usage.get("inputTokens") or 0) + cached,
        cached_in=cached,
        tokens_out=usage.get("outputTokens") or 0,
        reason=f"stopReason: {reason}" if finish in UNANSWERED else "",
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
    if isinstance(error, exceptions.HTTPClientError):  # a timeout, or a connection that was closed
        return ErrorKind.retry
    return ErrorKind.failed if isinstance(error, exceptions.ParamValidationError) else ErrorKind.fatal
