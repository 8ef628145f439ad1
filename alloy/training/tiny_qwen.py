"""A new small Qwen3: a byte-level tokenizer that is trained on the general data, and random weights."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from alloy.core.files import Row
from alloy.training.settings import Scratch

if TYPE_CHECKING:
    from transformers import Qwen3Config, Qwen3ForCausalLM, TokenizersBackend

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

# Qwen's ChatML, without tools and thinking.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def new_tokenizer(texts: Iterable[str], scratch: Scratch) -> "TokenizersBackend":
    """Return a byte-level BPE tokenizer of `scratch.vocab_size` tokens, trained on `texts`, with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[attr-defined]
        # One token per digit, so that numbers are read digit by digit.
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[attr-defined]
    trainer = trainers.BpeTrainer(
        vocab_size=scratch.vocab_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        model_max_length=scratch.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )


def new_config(tokenizer: "TokenizersBackend", scratch: Scratch) -> "Qwen3Config":
    """Return the configuration of a Qwen3 for `tokenizer`, with tied input and output embeddings."""
    from transformers import Qwen3Config

    end: Any = tokenizer.eos_token_id
    pad: Any = tokenizer.pad_token_id
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=scratch.hidden_size,
        intermediate_size=scratch.intermediate_size,
        num_hidden_layers=scratch.num_hidden_layers,
        num_attention_heads=scratch.num_attention_heads,
        num_key_value_heads=scratch.num_key_value_heads,
        head_dim=scratch.head_dim,
        max_position_embeddings=scratch.max_position_embeddings,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )


def new_model(config: "Qwen3Config") -> "Qwen3ForCausalLM":
    """Return a Qwen3 with random weights that decodes greedily. Set torch's seed first."""
    from transformers import GenerationConfig, Qwen3ForCausalLM

    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    return model


def iterate_texts(rows: Iterable[Row]) -> Iterable[str]:
    """Yield the text of every message of every row."""
    return (turn["content"] for row in rows for turn in row["messages"])
