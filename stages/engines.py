"""Opens the engine that `infer.engine` names."""

from functools import partial
from pathlib import Path

from stages.engine import Engine
from stages.grammar import answer_grammar
from stages.prompt import Prompts
from stages.scale import EngineName, Infer


def open_engine(folder: Path, infer: Infer, prompts: Prompts) -> Engine:
    """Return the engine for the model in `folder`, held to the grammar of the answers where `infer` says so."""
    taxonomy, task, codes = prompts.taxonomy, prompts.task, prompts.codes
    grammar = partial(answer_grammar, taxonomy, task, codes) if infer.constrain else None
    match infer.engine:
        case EngineName.transformers:
            from stages.chat import common_prefix
            from stages.checkpoint import load
            from stages.constraint import Constraints
            from stages.engine_transformers import TransformersEngine

            model, tokenizer = load(folder)
            held = Constraints(tokenizer, model.config.vocab_size, taxonomy, task, codes) if infer.constrain else None
            samples = prompts.messages([{"id": "", "text": text} for text in ("One.", "Another!")])
            return TransformersEngine(model, tokenizer, infer, common_prefix(tokenizer, samples), held)
        case EngineName.vllm:
            from stages.engine_vllm import VllmEngine

            return VllmEngine(folder, infer, grammar)
        case EngineName.openai:
            from stages.engine_openai import OpenAIEngine

            return OpenAIEngine(folder, infer, grammar)
        case EngineName.bedrock:
            from stages.engine_bedrock import BedrockEngine

            return BedrockEngine(folder, infer, grammar)
