"""The section `infer` of a profile."""

from enum import Enum
from typing import ClassVar

from pydantic import Field

from alloy.core.files import Row
from alloy.core.settings import Section


class EngineName(Enum):
    """The engine: transformers or vLLM on this machine, an OpenAI-compatible service, or Amazon Bedrock."""

    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"
    bedrock = "bedrock"


class Infer(Section):
    """Settings of inference.

    `constrain`: answers can only use labels of the taxonomy. `limit`: label this many test comments, from the
    first; null for all. `batch_size` is for the engines on this machine. The rest is for services: `concurrency` is the
    number of requests at a time, `timeout` is in seconds, `retries` is per request.
    """

    key = "infer"
    in_profile: ClassVar[bool] = True
    engine: EngineName = EngineName.transformers
    constrain: bool = False
    batch_size: int = Field(default=64, ge=1)
    max_new_tokens: int = Field(default=512, ge=1)
    limit: int | None = Field(default=None, ge=1)
    concurrency: int = Field(default=16, ge=1)
    timeout: float = Field(default=120.0, gt=0)
    retries: int = Field(default=8, ge=0)

    @property
    def is_service(self) -> bool:
        """Whether the engine is a service: requests go over the network, and may cost money."""
        return self.engine in (EngineName.openai, EngineName.bedrock)

    @property
    def chunk_size(self) -> int:
        """How many requests an engine gets at a time. It may reorder them, and only these are in memory."""
        return 32 * self.concurrency if self.is_service else 8 * self.batch_size

    @property
    def answer_settings(self) -> Row:
        """The settings that answers depend on, without those that only change the speed.

        `batch_size` can change the answers of a model on this machine, but not the answers of a service. So a run with
        a service can be stopped and continued with another concurrency.
        """
        speed = {"concurrency", "timeout", "retries"} | ({"batch_size"} if self.is_service else set())
        return self.model_dump(mode="json", exclude=speed)
