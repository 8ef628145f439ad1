"""Small models in the formats that Alloy accepts: a folder, a GGUF file, a wheel."""

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import gguf
from transformers import set_seed

from alloy.training.tiny_qwen import new_config, new_model
from tiny_model import SCRATCH, make_model_and_tokenizer, make_tokenizer

HEAD = 128  # head size of every Qwen3; transformers supports no other one in a GGUF file
VOCABULARY = {False: gguf.TokenType.NORMAL, True: gguf.TokenType.CONTROL}


def write_model(folder: Path, **config: object) -> Path:
    """Save the small Qwen3 with its tokenizer to `folder`; `config` changes its config.json."""
    model, tokenizer = make_model_and_tokenizer()
    for key, value in config.items():
        setattr(model.config, key, value)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wide_model(head_dim: int = HEAD):
    """Return the small Qwen3 with another head size; its weights have a fixed seed."""
    set_seed(0)
    return new_model(new_config(make_tokenizer(), SCRATCH.model_copy(update={"head_dim": head_dim})))


def write_gguf(
    file: Path,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q4_1,
    *,
    architecture: str = "qwen3",
    split: str | None = "smollm",
    template: bool = True,
    without: str = "",
    head_dim: int = HEAD,
) -> Path:
    """Write the small Qwen3 as llama.cpp's converter does: matrices quantized to `kind`, norms in float32.

    `split` is `tokenizer.ggml.pre`. The small tokenizer splits as SmolLM's does. `without` leaves a tensor out.
    """
    tokenizer, model = make_tokenizer(), wide_model(head_dim)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name("small")
    writer.add_block_count(SCRATCH.num_hidden_layers)
    writer.add_context_length(SCRATCH.max_position_embeddings)
    writer.add_embedding_length(SCRATCH.hidden_size)
    writer.add_feed_forward_length(SCRATCH.intermediate_size)
    writer.add_head_count(SCRATCH.num_attention_heads)
    writer.add_head_count_kv(SCRATCH.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_freq_base(model.config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    _add_tokenizer(writer, tokenizer, split)
    if template:
        writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, SCRATCH.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":  # tied
            continue
        known = names.get_name(name, try_suffixes=(".weight",))
        if known == without:
            continue
        values = tensor.float().numpy()
        if values.ndim == 2:
            writer.add_tensor(known, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(known, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer, split: str | None) -> None:
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    if split:
        writer.add_tokenizer_pre(split)
    writer.add_token_list(words)
    writer.add_token_types(
        [VOCABULARY[word in tokenizer.all_special_tokens or word == "<|im_start|>"] for word in words]
    )
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)


def write_wheel(
    folder: Path, files: dict[str, Path], package: str = "tiny-model", version: str = "1.0"
) -> tuple[Path, str]:
    """Write a wheel with `files`, by path in the wheel; return its path and its SHA-256."""
    stem = f"{package.replace('-', '_')}-{version}"
    wheel = folder / f"{stem}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{stem}.dist-info"
    with ZipFile(wheel, "w") as archive:
        for name, file in files.items():
            archive.write(file, name)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel, hashlib.sha256(wheel.read_bytes()).hexdigest()
