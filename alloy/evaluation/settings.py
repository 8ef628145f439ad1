"""The sections `harness`, `mmlu`, `ifeval`, `general`, `chat` and `general_loss` of a profile."""

from enum import Enum
from typing import Any, ClassVar

from pydantic import Field, model_validator

from alloy.core.settings import ListSection, Section, refuse


class ClozePrompt(Enum):
    """How the cloze form asks: plain text (`Question: .. Answer:`), or the bare question in the model's chat format."""

    plain = "plain"
    chat = "chat"


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
    """How multiple-choice questions are asked; the defaults are those of OLMES (arXiv 2406.08446).

    `cloze`: the prompt of the cloze form. `show_choices`: whether the prompt for a generated answer lists the choices;
    false for a model that knows bare questions alone. `fewshot`: examples before each question. `limit`: the first so
    many questions per subject, null for all.
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
    def _refuse_former_key(cls, given: Any) -> Any:  # noqa: ANN401 (whatever the profile holds)
        if isinstance(given, dict) and "answer" in given:
            expected = {
                "text": "`cloze: chat` and `show_choices: false` instead",
                "letter": "no such key: letters are always asked, and are the default for generated answers",
            }
            new = "`cloze: plain` or `chat`, `show_choices: true` or `false` instead"
            raise refuse("answer", given["answer"], expected.get(str(given["answer"]), new))
        return given


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
