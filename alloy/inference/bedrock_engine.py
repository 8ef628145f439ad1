"""Answers by Amazon Bedrock's Converse API, such as Nova's.

Region and keys are boto3's own: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and so on.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, Row
from alloy.inference.engine import UNANSWERED, Completion, Constraint, Done, Finish, Request
from alloy.inference.pace import retry_after
from alloy.inference.service import Service
from alloy.inference.service_errors import Kind, ServiceError, kind_of, rejects
from alloy.inference.settings import Infer
from alloy.modeling.model_folder import read_hosted_name

FINISH = {
    "max_tokens": Finish.length,
    "model_context_window_exceeded": Finish.context,
    "content_filtered": Finish.refused,
    "guardrail_intervened": Finish.refused,
}


class BedrockEngine:
    """Asks for `concurrency` answers at once."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """`constraint` must be None: Bedrock holds no answer to a grammar."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        model = read_hosted_name(folder)
        if model is None:
            raise InputError(
                f"infer.engine: {folder} has weights here, bedrock is for `model: {{hosted: ..}}`; set another"
            )
        if constraint:
            raise InputError("infer.constrain: Bedrock holds no answer to a grammar; set it to false")
        self.model, self.infer = model, infer
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},  # `Service` asks again, at one pace for all
            connect_timeout=min(infer.timeout, 10.0),
            read_timeout=infer.timeout,
            max_pool_connections=infer.concurrency,
        )
        try:
            self.client: Any = boto3.client("bedrock-runtime", region_name=os.environ.get("AWS_REGION"), config=config)
        except BotoCoreError as error:
            raise InputError(f"infer.engine: bedrock: {error}; see `aws configure`, or set AWS_REGION") from None
        self.service = Service(model, infer)
        self.greedy = True  # until the model rejects `temperature`

    def complete(self, requests: list[Request], done: Done) -> list[Completion]:
        """Return one completion per request, in their order."""
        return asyncio.run(self._complete(requests, done))

    async def _complete(self, requests: list[Request], done: Done) -> list[Completion]:
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(self.infer.concurrency)

        async def ask(number: int) -> Completion:
            return await loop.run_in_executor(pool, partial(self._ask, requests[number]))

        try:
            return await self.service.answer_all(len(requests), ask, done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, request: Request) -> Completion:
        from botocore.exceptions import BotoCoreError, ClientError

        turns = [said for said in request.messages if said["role"] != "system"]
        messages = [{"role": said["role"], "content": [{"text": said["content"]}]} for said in turns]
        system = [{"text": said["content"]} for said in request.messages if said["role"] == "system"]
        while True:
            limits: Row = {"maxTokens": self.infer.max_new_tokens}
            if self.greedy:
                limits["temperature"] = 0.0
            asked: Row = {"modelId": self.model, "messages": messages, "system": system, "inferenceConfig": limits}
            try:
                return read_reply(self.client.converse(**asked), sampled="temperature" not in limits)
            except ClientError as error:
                status, code, message, headers = _parts(error)
                if not ("temperature" in limits and rejects(status, message, "temperature")):
                    wait = retry_after(headers)
                    raise ServiceError(kind_of(status, code, message), f"{code}: {message}", wait) from None
                self.greedy = False
            except BotoCoreError as error:
                raise ServiceError(_kind(error), str(error)) from None


def read_reply(reply: Row, *, sampled: bool = False) -> Completion:
    """Return the completion in a reply of Converse; what is missing or null is empty, or 0."""
    used = reply.get("usage") or {}
    reason = reply.get("stopReason") or ""
    content = ((reply.get("output") or {}).get("message") or {}).get("content") or []
    finish = FINISH.get(reason, Finish.stop)
    cached = used.get("cacheReadInputTokens") or 0
    return Completion(
        "".join(part.get("text") or "" for part in content),
        finish,
        tokens_in=(used.get("inputTokens") or 0) + cached,
        cached_in=cached,
        tokens_out=used.get("outputTokens") or 0,
        reason=f"stopReason: {reason}" if finish in UNANSWERED else "",
        sampled=sampled,
    )


def _parts(error: Any) -> tuple[int, str, str, Row]:  # noqa: ANN401 (botocore's, whose `response` has no type)
    """Return (status, code, message, headers) of an error that Bedrock sent."""
    said, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 500)
    return status, str(said.get("Code", "")), str(said.get("Message", "")), about.get("HTTPHeaders", {})


def _kind(error: Exception) -> Kind:
    """Return what an error of botocore's own means."""
    from botocore import exceptions as known

    if isinstance(error, known.EndpointConnectionError | known.ConnectTimeoutError | known.SSLError):
        return Kind.unreachable
    if isinstance(error, known.ProxyConnectionError):
        return Kind.unreachable
    if isinstance(error, known.HTTPClientError):  # a time limit, a connection that was closed
        return Kind.again
    return Kind.failed if isinstance(error, known.ParamValidationError) else Kind.stop
