"""Opens the engine that `infer.engine` names."""

from functools import partial
from pathlib import Path
from typing import Protocol

from stages.answer import Codes
from stages.chat import Messages
from stages.engine import Engine
from stages.grammar import answer_grammar
from stages.records import Row
from stages.scale import EngineName, Infer
from stages.taxonomy import Taxonomy

SAMPLES: list[Row] = [{"id": "", "text": text} for text in ("One.", "Another!")]


class Asking(Protocol):
    """How comments of a task are asked about: `stages.prompt.Prompts`."""

    @property
    def taxonomy(self) -> Taxonomy: ...  # noqa: D102
    @property
    def task(self) -> Row: ...  # noqa: D102
    @property
    def codes(self) -> Codes | None: ...  # noqa: D102
    def messages(self, comments: list[Row]) -> list[Messages]: ...  # noqa: D102


def open_engine(folder: Path, infer: Infer, prompts: Asking | None = None) -> Engine:
    """Return the engine for the model in `folder`, held to the grammar of the answers where `infer` says so.

    Without `prompts` it is asked what each request says, and answers as it likes.
    """
    held = (prompts.taxonomy, prompts.task, prompts.codes) if prompts and infer.constrain else None
    grammar = partial(answer_grammar, *held) if held else None
    match infer.engine:
        case EngineName.transformers:
            from stages.chat import common_prefix
            from stages.checkpoint import load
            from stages.constraint import Constraints
            from stages.engine_transformers import TransformersEngine

            model, tokenizer = load(folder)
            constraints = Constraints(tokenizer, model.config.vocab_size, *held) if held else None
            samples = prompts.messages(SAMPLES) if prompts else [_alone(row["text"]) for row in SAMPLES]
            return TransformersEngine(model, tokenizer, infer, common_prefix(tokenizer, samples), constraints)
        case EngineName.vllm:
            from stages.engine_vllm import VllmEngine

            return VllmEngine(folder, infer, grammar)
        case EngineName.openai:
            from stages.engine_openai import OpenAIEngine

            return OpenAIEngine(folder, infer, grammar)
        case EngineName.bedrock:
            from stages.engine_bedrock import BedrockEngine

            return BedrockEngine(folder, infer, grammar)


def _alone(text: str) -> Messages:
    return [{"role": "user", "content": text}]
