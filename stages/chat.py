"""Chat messages and the text that a model's chat template makes of them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = list[dict[str, str]]


def render_prompt(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> str:
    """Return the text up to where the assistant's answer begins."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def render_example(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> str:
    """Return the whole text, the assistant's answer and its end-of-turn token included."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False))
