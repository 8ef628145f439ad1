"""Opens the engine that `infer.engine` names."""

from functools import partial
from pathlib import Path
from typing import Protocol

from alloy.core.files import Row
from alloy.core.scale import EngineName, Infer
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.engine import Engine
from alloy.labelling.answer import Codes
from alloy.labelling.grammar import answer_grammar
from alloy.modeling.chat_template import Messages

SAMPLES: list[Row] = [{"id": "", "text": text} for text in ("One.", "Another!")]


class Asking(Protocol):
    """How comments of a task are asked about: `alloy.labelling.prompt.Prompts`."""

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
            from alloy.inference.hf_engine import TransformersEngine
            from alloy.labelling.constrained_decoding import Constraints
            from alloy.modeling.chat_template import common_prefix
            from alloy.modeling.model_folder import load

            model, tokenizer = load(folder)
            constraints = Constraints(tokenizer, model.config.vocab_size, *held) if held else None
            samples = prompts.messages(SAMPLES) if prompts else [_alone(row["text"]) for row in SAMPLES]
            return TransformersEngine(model, tokenizer, infer, common_prefix(tokenizer, samples), constraints)
        case EngineName.vllm:
            from alloy.inference.vllm_engine import VllmEngine

            return VllmEngine(folder, infer, grammar)
        case EngineName.openai:
            from alloy.inference.openai_engine import OpenAIEngine

            return OpenAIEngine(folder, infer, grammar)
        case EngineName.bedrock:
            from alloy.inference.bedrock_engine import BedrockEngine

            return BedrockEngine(folder, infer, grammar)


def _alone(text: str) -> Messages:
    return [{"role": "user", "content": text}]
