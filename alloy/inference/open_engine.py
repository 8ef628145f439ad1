"""Opens the engine that `infer.engine` names."""

from collections.abc import Sequence
from pathlib import Path

from alloy.inference.engine import Constraint, Engine
from alloy.inference.settings import EngineName, Infer
from alloy.modeling.chat_template import Messages

SAMPLE_CHATS: list[Messages] = [[{"role": "user", "content": text}] for text in ("One.", "Another!")]


def open_engine(
    folder: Path, infer: Infer, constraint: Constraint | None = None, samples: Sequence[Messages] = SAMPLE_CHATS
) -> Engine:
    """Return the engine for the model in `folder`. Answers follow the `constraint`, if there is one.

    The transformers engine computes the common prefix of all prompts once. It finds this prefix from the `samples`: two
    or more chats with the same fixed text as the requests, but with different inputs.
    """
    match infer.engine:
        case EngineName.transformers:
            from alloy.inference.hf_engine import TransformersEngine
            from alloy.modeling.architecture import get_text_config
            from alloy.modeling.chat_template import find_common_prefix
            from alloy.modeling.model_folder import load_model

            model, tokenizer = load_model(folder)
            vocabulary = get_text_config(model.config).vocab_size
            compiled = constraint.compile(tokenizer, vocabulary) if constraint else None
            return TransformersEngine(model, tokenizer, infer, find_common_prefix(tokenizer, list(samples)), compiled)
        case EngineName.vllm:
            from alloy.inference.vllm_engine import VllmEngine

            return VllmEngine(folder, infer, constraint)
        case EngineName.openai:
            from alloy.inference.openai_engine import OpenAIEngine

            return OpenAIEngine(folder, infer, constraint)
        case EngineName.bedrock:
            from alloy.inference.bedrock_engine import BedrockEngine

            return BedrockEngine(folder, infer, constraint)
