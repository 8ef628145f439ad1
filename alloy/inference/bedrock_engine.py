"""Answers by Amazon Bedrock's Converse API, such as Nova's.

Region and keys are boto3's own: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and so on.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Constraint, Finish, Request
from alloy.inference.settings import Infer
from alloy.modeling.model_folder import hosted

FINISH = {
    "max_tokens": Finish.length,
    "model_context_window_exceeded": Finish.context,
    "content_filtered": Finish.refused,
    "guardrail_intervened": Finish.refused,
}
AGAIN = "what is done is kept, and `dvc repro` goes on from there"


class BedrockEngine:
    """Asks for `concurrency` answers at once; boto3 waits and asks again where the service is busy."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """`constraint` must be None: Bedrock holds no answer to a grammar."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        model = hosted(folder)
        if model is None:
            raise InputError(
                f"infer.engine: {folder} has weights here, bedrock is for `model: {{hosted: ..}}`; set another"
            )
        if constraint:
            raise InputError("infer.constrain: Bedrock holds no answer to a grammar; set it to false")
        self.model, self.infer = model, infer
        config = Config(
            retries={"total_max_attempts": infer.retries + 1, "mode": "legacy"},
            read_timeout=infer.timeout,
            max_pool_connections=infer.concurrency,
        )
        try:
            self.client: Any = boto3.client("bedrock-runtime", region_name=os.environ.get("AWS_REGION"), config=config)
        except BotoCoreError as error:
            raise InputError(f"infer.engine: bedrock: {error}; see `aws configure`, or set AWS_REGION") from None

    def complete(self, requests: list[Request], advance: Callable[[int], object]) -> list[Completion]:
        """Return one completion a request, in their order."""
        with ThreadPoolExecutor(self.infer.concurrency) as pool:
            tasks = [pool.submit(self._ask, request) for request in requests]
            try:
                for task in as_completed(tasks):
                    task.result()
                    advance(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [task.result() for task in tasks]

    def _ask(self, request: Request) -> Completion:
        from botocore.exceptions import BotoCoreError, ClientError

        turns = [said for said in request.messages if said["role"] != "system"]
        messages = [{"role": said["role"], "content": [{"text": said["content"]}]} for said in turns]
        system = [{"text": said["content"]} for said in request.messages if said["role"] == "system"]
        limits = {"maxTokens": self.infer.max_new_tokens, "temperature": 0.0}
        try:
            reply = self.client.converse(modelId=self.model, messages=messages, system=system, inferenceConfig=limits)
        except ClientError as error:
            said = error.response["Error"]
            if said["Code"] == "ValidationException" and "too long" in said["Message"].lower():
                return Completion("", Finish.context, 0, 0, 0)
            raise InputError(
                f"infer.engine: {self.model}: {said['Code']}: {' '.join(said['Message'].split())}; {AGAIN}"
            ) from None
        except BotoCoreError as error:
            raise InputError(f"infer.engine: {self.model}: {error}; {AGAIN}") from None
        used, reason = reply["usage"], reply["stopReason"]
        finish = FINISH.get(reason, Finish.stop)
        return Completion(
            "".join(part.get("text", "") for part in reply["output"]["message"]["content"]),
            finish,
            tokens_in=used["inputTokens"] + used.get("cacheReadInputTokens", 0),
            cached_in=used.get("cacheReadInputTokens", 0),
            tokens_out=used["outputTokens"],
        )
