"""The sections `harness`, `mmlu`, `ifeval`, `general`, `chat` and `general_loss` of a profile."""

from enum import Enum
from typing import Any, ClassVar

from pydantic import Field, model_validator

from alloy.core.setting_errors import make_error
from alloy.core.settings import ListSection, Section


class ClozePrompt(Enum):
    """The prompt of the cloze form: plain text (`Question: ... Answer:`), or only the question, in the chat format."""

    plain = "plain"
    chat = "chat"


class Backend(Enum):
    """The engine for lm-eval's tasks: transformers (`hf`, with shared prefixes computed once) or vLLM."""

    hf = "hf"
    vllm = "vllm"


class Harness(Section):
    """How lm-eval runs a model, for the stages `mmlu`, `ifeval` and `general`. `batch_size` is in rows."""

    key = "harness"
    in_profile: ClassVar[bool] = True
    backend: Backend = Backend.hf
    batch_size: int = Field(default=32, ge=1)


class Mmlu(Section):
    """How multiple-choice questions are asked. The defaults follow OLMES (arXiv:2406.08446).

    `cloze`: the prompt of the cloze formulation. `show_choices`: whether the prompt for a generated answer shows the
    choices; false for a model that was only trained on questions without choices. `fewshot`: the number of examples
    before each question. `max_new_tokens`: the longest generated answer. `limit`: ask this many questions of each
    subject, from the first; null for all.
    """

    key = "mmlu"
    in_profile: ClassVar[bool] = True
    cloze: ClozePrompt = ClozePrompt.plain
    show_choices: bool = True
    fewshot: int = Field(default=5, ge=0)
    max_new_tokens: int = Field(default=16, ge=1)
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _refuse_former_key(cls, section: Any) -> Any:  # noqa: ANN401 (any value of the profile)
        if isinstance(section, dict) and "answer" in section:
            fixes = {
                "text": "replace `answer` by `cloze: chat` and `show_choices: false`",
                "letter": "remove `answer`: the letter is always measured, and the default prompt shows the choices",
            }
            other = "replace `answer` by `cloze: plain` or `chat`, and `show_choices: true` or `false`"
            fix = fixes.get(str(section["answer"]), other)
            raise make_error("answer", section["answer"], "no such key", fix)
        return section


class Ifeval(Section):
    """`max_new_tokens`: the longest answer. `limit`: use this many prompts, from the first; null for all."""

    key = "ifeval"
    in_profile: ClassVar[bool] = True
    max_new_tokens: int = Field(default=1280, ge=1)
    limit: int | None = Field(default=None, ge=1)


class GeneralTasks(ListSection):
    """Other tasks of lm-eval, by the name of an lm-eval task or of a YAML file in profiles/tasks."""

    key = "general"
    in_profile: ClassVar[bool] = True


class Chat(Section):
    """Settings of the plain chat prompts. `max_new_tokens`: the longest answer."""

    key = "chat"
    in_profile: ClassVar[bool] = True
    max_new_tokens: int = Field(default=128, ge=1)


class GeneralLoss(Section):
    """The loss on held-out general rows.

    `max_length`: rows are cut after this many tokens; rows whose prompt is as long are skipped. `limit`: use this
    many rows, from the first; null for all.
    """

    key = "general_loss"
    in_profile: ClassVar[bool] = True
    max_length: int = Field(default=1024, ge=2)
    limit: int | None = Field(default=None, ge=1)
