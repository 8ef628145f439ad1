"""The sections `harness`, `mmlu`, `ifeval`, `general`, `chat` and `general_loss` of a profile."""

from enum import Enum
from typing import ClassVar

from pydantic import Field

from alloy.core.settings import ListSection, Section


class AnswerAs(Enum):
    """What a multiple-choice answer is: the letter A to D, or the text of the choice."""

    letter = "letter"
    text = "text"


class Backend(Enum):
    """What runs lm-eval's tasks: transformers, the shared few-shot prefix computed once, or vLLM."""

    hf = "hf"
    vllm = "vllm"


class Harness(Section):
    """How lm-eval runs a model, for the stages `mmlu`, `ifeval` and `general`; `batch_size`: rows answered at once."""

    key = "harness"
    in_profile: ClassVar[bool] = True
    backend: Backend = Backend.hf
    batch_size: int = Field(default=32, ge=1)


class Mmlu(Section):
    """`answer`: what the model must give; `limit`: the first so many questions a subject, null for all."""

    key = "mmlu"
    in_profile: ClassVar[bool] = True
    answer: AnswerAs = AnswerAs.letter
    fewshot: int = Field(default=0, ge=0)
    max_new_tokens: int = Field(default=16, ge=1)
    limit: int | None = Field(default=None, ge=1)


class Ifeval(Section):
    """`limit`: the first so many prompts, null for all."""

    key = "ifeval"
    in_profile: ClassVar[bool] = True
    max_new_tokens: int = Field(default=1280, ge=1)
    limit: int | None = Field(default=None, ge=1)


class GeneralTasks(ListSection):
    """Other tasks of lm-eval, by name or by a YAML file in profiles/tasks."""

    key = "general"
    in_profile: ClassVar[bool] = True


class Chat(Section):
    """The plain chat prompts: the longest answer, in tokens."""

    key = "chat"
    in_profile: ClassVar[bool] = True
    max_new_tokens: int = Field(default=128, ge=1)


class GeneralLoss(Section):
    """The loss on held-out general rows. `limit`: the first so many rows, null for all.

    Rows are cut after `max_length` tokens; those whose prompt is as long are skipped.
    """

    key = "general_loss"
    in_profile: ClassVar[bool] = True
    max_length: int = Field(default=1024, ge=2)
    limit: int | None = Field(default=None, ge=1)
