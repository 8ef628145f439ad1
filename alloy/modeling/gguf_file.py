"""A GGUF file as an ordinary Hugging Face folder: its weights dequantized, its tokenizer rebuilt."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError
from alloy.modeling.model_folder import silence_deepspeed

if TYPE_CHECKING:
    from transformers import TokenizersBackend

PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
NOT_SAVED = ("quantization_config", "_name_or_path", "_model_name_or_path")

# How llama.cpp splits text for some values of `tokenizer.ggml.pre` (llama_model_loader in llama-vocab.cpp). For these
# and for all that it does not know, transformers 5.19 splits as GPT-2 does.
GPT2_SPLIT = {"gpt-2", "phi-2", "mpt", "olmo", "jais"}
DIGIT_SPLIT = {"smollm", "starcoder", "refact", "codeshell", "command-r", "exaone", "minerva-7b"}  # digits, then GPT-2

# What transformers, `gguf` and NumPy raise for a file that is cut off, damaged, or of an architecture without support.
UNREADABLE = (ValueError, KeyError, IndexError, NotImplementedError, OverflowError, struct.error)


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Turn what libraries raise inside of the block into one line that begins with `place`."""
    try:
        yield
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{place}: not a GGUF file that can be loaded ({reason}); fetch it again, or take the model's "
            "Hugging Face folder (model.path)"
        ) from None


def check_gguf(file: Path, place: str) -> None:
    """Raise `InputError` unless `file` is one whole GGUF file with a chat template; weights are not read.

    `place` begins the error.
    """
    from transformers.integrations.gguf.reader import read_gguf_metadata

    if PART.search(file.name):
        raise InputError(f"{place}: a part of a model; put the parts together first: `llama-gguf-split --merge`")
    with file.open("rb") as start:
        if start.read(4) != b"GGUF":
            raise InputError(f"{place}: not a GGUF file, which begins with the letters GGUF; fetch it again")
    with _readable(place):
        metadata, _ = read_gguf_metadata(str(file))
    if not metadata.get("tokenizer.chat_template"):
        raise InputError(
            f"{place}: the tokenizer has no chat template (tokenizer.chat_template); take the file of an "
            "instruction-tuned model"
        )


def read_config(file: Path, place: str) -> Any:  # noqa: ANN401 (of the model's own class)
    """Return the configuration of the model in a GGUF file, as transformers reads it from the metadata."""
    from transformers import AutoConfig

    with _readable(place):
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)


def read_tokenizer(file: Path, place: str) -> "TokenizersBackend":
    """Return the tokenizer of a GGUF file, which splits text as the model learned it.

    transformers rebuilds vocabulary, merges, special tokens and chat template, but only some of the ways of splitting
    text before the merges. A wrong split gives other tokens than those that the model learned, without an error:
    SmolLM2 learned digits one by one, and "a  12" as `a`, two spaces, `1`, `2`; split as GPT-2 does, the spaces come
    apart. So:

    1. A split that transformers knows by its name in `tokenizer.ggml.pre`, or that is GPT-2's, is left as it is. A
       file without a name is taken for GPT-2's.
    2. For a split that takes digits one by one, that step is put before GPT-2's.
    3. Any other name raises `InputError`.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS, get_gguf_tokenizer

    with _readable(place):
        _, parts, _ = get_gguf_tokenizer(str(file))
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    split = parts.get("pre_tokenizer_type", "gpt-2")
    if parts.get("tokenizer_type") != "gpt2" or split in GPT2_SPLIT or split in GGUF_PRE_TOKENIZER_SPLITS:
        return tokenizer
    if split not in DIGIT_SPLIT:
        raise InputError(
            f"{place}: the tokenizer splits text as '{split}' (tokenizer.ggml.pre), which cannot be rebuilt; take the "
            "model's Hugging Face folder instead (model.path)"
        )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def dequantize(file: Path, folder: Path, place: str) -> None:
    """Write the model in a GGUF file to `folder`: configuration, float32 safetensors, tokenizer with chat template.

    float32 holds exactly every value that a quantized block stands for. What cannot be loaded raises `InputError` that
    begins with `place`.

    1. transformers loads the file and dequantizes its weights.
    2. A model of the same configuration takes them over, since transformers does not save one that it has marked as
       quantized.
    3. That model and the tokenizer are saved.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    check_gguf(file, place)
    silence_deepspeed()
    tokenizer = read_tokenizer(file, place)
    with _readable(place):
        found: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            trust_remote_code=False,
        )
    loaded, info = found
    if missing := sorted(info["missing_keys"]):
        raise InputError(f"{place}: {len(missing)} tensors are missing, such as {missing[0]}; fetch the file again")
    config: Any = loaded.config
    values = {key: value for key, value in config.to_dict().items() if key not in NOT_SAVED}
    with torch.device("meta"):  # without memory for weights, which are about to be taken over
        plain = type(loaded)(type(config)(**values))
    try:
        plain.load_state_dict(loaded.state_dict(), assign=True)
    except RuntimeError as error:  # transformers reads some sizes from the file, and takes its defaults for others
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"{place}: transformers reads another architecture from it than its tensors have ({reason}); take the "
            "model's Hugging Face folder (model.path)"
        ) from None
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    plain.save_pretrained(folder)
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
