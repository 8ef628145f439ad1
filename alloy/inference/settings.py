"""The section `infer` of a profile."""

from enum import Enum
from typing import ClassVar

from pydantic import Field

from alloy.core.files import Row
from alloy.core.settings import Section


class EngineName(Enum):
    """What answers comments: transformers or vLLM on this machine, an OpenAI-compatible service, Amazon Bedrock."""

    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"
    bedrock = "bedrock"


class Infer(Section):
    """`constrain` holds answers to the taxonomy; `limit`: the first so many test comments, null for all.

    `batch_size` is for this machine's engines. `concurrency` requests at once, `timeout` in seconds and `retries` (of
    one comment) are for services.
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
        """Whether a service answers, over the network and for money."""
        return self.engine in (EngineName.openai, EngineName.bedrock)

    @property
    def chunk(self) -> int:
        """How many comments belong together: what an engine arranges as suits it, and all that is in memory."""
        return 32 * self.concurrency if self.is_service else 8 * self.batch_size

    @property
    def determining(self) -> Row:
        """The settings that answers depend on; the others only say how fast they come.

        For a service these leave out the batch as well, so that a slower run goes on with the answers of a fast one.
        """
        speed = {"concurrency", "timeout", "retries"} | ({"batch_size"} if self.is_service else set())
        return self.model_dump(mode="json", exclude=speed)
