"""Convert a GGUF file to a Hugging Face folder: dequantize the weights and rebuild the tokenizer."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError
from alloy.modeling.load_errors import require_all_tensors, silence_deepspeed

if TYPE_CHECKING:
    from transformers import TokenizersBackend

PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
NOT_SAVED = ("quantization_config", "_name_or_path", "_model_name_or_path")

# How llama.cpp splits text for some values of `tokenizer.ggml.pre` (llama_model_loader in llama-vocab.cpp). For these
# values, and for all unknown values, transformers 5.19 splits like GPT-2.
GPT2_SPLIT = {"gpt-2", "phi-2", "mpt", "olmo", "jais"}
# Single digits first, then like GPT-2:
DIGIT_SPLIT = {"smollm", "starcoder", "refact", "codeshell", "command-r", "exaone", "minerva-7b"}

# Errors of transformers, `gguf` and NumPy for a file that is incomplete, damaged, or of an unsupported architecture.
UNREADABLE = (ValueError, KeyError, IndexError, NotImplementedError, OverflowError, struct.error)


@contextmanager
def _wrap_read_errors(location: str) -> Iterator[None]:
    """Turn errors of the libraries into one line that starts with `location`."""
    try:
        yield
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{location}: the GGUF file cannot be loaded ({reason}); download it again, or use the model's Hugging "
            "Face folder (model.path)"
        ) from None


def check_gguf(file: Path, location: str) -> None:
    """Raise `InputError` unless `file` is a complete GGUF file with a chat template. Weights are not read.

    `location` is the start of the message.
    """
    from transformers.integrations.gguf.reader import read_gguf_metadata

    if PART.search(file.name):
        raise InputError(f"{location}: only one part of a model; merge the parts first: `llama-gguf-split --merge`")
    with file.open("rb") as start:
        if start.read(4) != b"GGUF":
            raise InputError(f"{location}: not a GGUF file (its first bytes are not GGUF); download it again")
    with _wrap_read_errors(location):
        metadata, _ = read_gguf_metadata(str(file))
    if not metadata.get("tokenizer.chat_template"):
        raise InputError(
            f"{location}: the tokenizer has no chat template (tokenizer.chat_template); use the file of an "
            "instruction-tuned model"
        )


def read_config(file: Path, location: str) -> Any:  # noqa: ANN401 (of the model's own class)
    """Return the configuration of the model in a GGUF file, as transformers reads it from the metadata."""
    from transformers import AutoConfig

    with _wrap_read_errors(location):
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)


def read_tokenizer(file: Path, location: str) -> "TokenizersBackend":
    """Return the tokenizer of a GGUF file, which splits text like the original tokenizer.

    transformers rebuilds vocabulary, merges, special tokens and chat template, but supports only some of the ways to
    split text before the merges. A wrong split gives other tokens than the model was trained on, without an error. For
    example, SmolLM2 was trained on "a  12" as `a`, two spaces, `1`, `2`. Split like GPT-2, the two spaces are separate
    tokens. So:

    1. If transformers supports the split that is named in `tokenizer.ggml.pre`, or if it is GPT-2's, do nothing. A file
       without a name counts as GPT-2.
    2. If the split separates digits first, put that step before GPT-2's.
    3. Raise `InputError` for any other name.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS, get_gguf_tokenizer

    with _wrap_read_errors(location):
        _, parts, _ = get_gguf_tokenizer(str(file))
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    split = parts.get("pre_tokenizer_type", "gpt-2")
    if parts.get("tokenizer_type") != "gpt2" or split in GPT2_SPLIT or split in GGUF_PRE_TOKENIZER_SPLITS:
        return tokenizer
    if split not in DIGIT_SPLIT:
        raise InputError(
            f"{location}: the tokenizer's split '{split}' (tokenizer.ggml.pre) is not supported; use the model's "
            "Hugging Face folder instead (model.path)"
        )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def dequantize_gguf(file: Path, folder: Path, location: str) -> None:
    """Write the model in a GGUF file to `folder`: configuration, float32 safetensors, tokenizer with chat template.

    float32 represents every value of a quantized block exactly. Raises `InputError`, which starts with `location`, if
    the file cannot be loaded.

    1. transformers loads the file and dequantizes its weights.
    2. The weights move to a new model of the same configuration, since transformers does not save a model that it has
       marked as quantized.
    3. The new model and the tokenizer are saved.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    check_gguf(file, location)
    silence_deepspeed()
    tokenizer = read_tokenizer(file, location)
    with _wrap_read_errors(location):
        result: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            trust_remote_code=False,
        )
    loaded, info = result
    require_all_tensors(info, location, "download the file again")
    config: Any = loaded.config
    values = {key: value for key, value in config.to_dict().items() if key not in NOT_SAVED}
    with torch.device("meta"):  # no memory for weights: `load_state_dict` assigns them below
        plain = type(loaded)(type(config)(**values))
    try:
        plain.load_state_dict(loaded.state_dict(), assign=True)
    except RuntimeError as error:  # transformers reads some sizes from the file and uses defaults for the others
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"{location}: the tensors do not fit the architecture that transformers reads from the file ({reason}); "
            "use the model's Hugging Face folder (model.path)"
        ) from None
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(folder)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
