"""Check whether a Hugging Face folder can be a base model, before anything else is done with it."""

import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, read_json
from alloy.modeling.architecture import get_text_config, load_config
from alloy.modeling.chat_template import RenderError, encode, get_control_tokens, render_example, render_prompt
from alloy.modeling.end_of_turn import ANSWER, FIX, QUESTION, TEMPLATE_FILE, find_missing_stop_token
from alloy.modeling.load_errors import load_foreign_tokenizer, require_all_tensors, wrap_load_errors

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
# Formats of weights that may run code when they are loaded (pickle), or that torch cannot read.
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")
LAYERS = re.compile(r"\blayers\.")
TEMPLATE_SECONDS = 60.0  # a chat template renders a question in milliseconds
RARE = "\U0010fffd"  # no vocabulary has this letter
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)


def check_folder(folder: Path, location: str) -> None:
    """Raise `InputError` unless `folder` holds a model that Alloy can train. `location` is the start of the message.

    No weights are loaded; only the names and shapes of the tensors are compared with the architecture.

    1. Configuration, tokenizer and chat template can be used (`check_config_and_tokenizer`).
    2. There are safetensors files: every file listed in the index, and each is complete.
    3. The files contain every tensor of the architecture, with the right shape.
    """
    check_config_and_tokenizer(folder, location)
    _check_files(folder, location)
    check_tensors(folder, location)


def check_config_and_tokenizer(folder: Path, location: str) -> None:
    """Raise `InputError` unless Alloy can train a model with the files in `folder`, which need not include weights.

    1. There is a config.json.
    2. transformers has the architecture as a causal language model, without code from the model.
    3. transformers can load the configuration, and its sizes are positive.
    4. There is a tokenizer, and its chat template can render a question. Text is never encoded as a control token.
    5. The template ends an answer with a token at which the model stops or can be made to stop.
    6. The model has embeddings for the tokens of texts and of the template.
    """
    _check_architecture(_read_config(folder, location), location)
    with wrap_load_errors(f"{location}: {CONFIG}", f"correct {CONFIG}, or download it again"):
        config = load_config(folder)
    _check_sizes(get_text_config(config), location)
    tokenizer = load_foreign_tokenizer(folder, location)
    with _limit_rendering(TEMPLATE_SECONDS, location):
        _check_chat(tokenizer, location)
        find_missing_stop_token(folder, location)
    _check_tokens(tokenizer, get_text_config(config), location)


def _read_config(folder: Path, location: str) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        if (folder / "adapter_config.json").is_file():
            raise InputError(
                f"{location}: the folder has only an adapter; merge it into its base model (PEFT: merge_and_unload)"
            )
        raise InputError(f"{location}: no {CONFIG}; give a folder written by save_pretrained")
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(
            f"{location}: {CONFIG} has no model_type, so the architecture is unknown; use a model of transformers"
        )
    return config


def _check_files(folder: Path, location: str) -> None:
    from safetensors import safe_open

    require_safetensors([file.name for file in folder.iterdir()], location)
    files = sorted(folder.glob("*.safetensors"))
    if missing := sorted(read_index(folder, location) - {file.name for file in files}):
        raise InputError(f"{location}: no {missing[0]}, which is listed in {INDEX}; download it")
    for file in files:
        with (
            wrap_load_errors(f"{location}: {file.name} is not a complete safetensors file", "download it again"),
            safe_open(file, framework="numpy"),
        ):
            pass


def require_safetensors(names: Iterable[str], location: str) -> None:
    """Raise `InputError` unless there are weights in the format safetensors among the files of a model, by `names`."""
    names = sorted(names)
    if any(name.endswith(".safetensors") and "/" not in name for name in names):
        return
    if others := [name for name in names if name.endswith(OTHER_WEIGHTS)]:
        raise InputError(
            f"{location}: no *.safetensors, only {others[0]}, which may run code when it is loaded; if you trust it, "
            "load the model with transformers and save it with save_pretrained"
        )
    raise InputError(f"{location}: no weights (*.safetensors); download the weights")


def read_index(folder: Path, location: str) -> set[str]:
    """Return the names of the files that the index of the weights lists; empty if there is no index."""
    if not (folder / INDEX).is_file():
        return set()
    index = read_json(folder / INDEX)
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise InputError(
            f"{location}: {INDEX}: expected `weight_map` with a file name for each tensor; download it again"
        )
    return set(files.values())


def _check_architecture(config: dict[str, Any], location: str) -> None:
    import transformers
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    )

    model_type = config["model_type"]
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if model_type in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES:  # of images or sound, and text
        raise InputError(
            f"{location}: '{model_type}' is a multimodal model, of which transformers does not load the language model "
            "alone; use the text-only model of its family"
        )
    if model_type in CONFIG_MAPPING:
        raise InputError(f"{location}: '{model_type}' is not a causal language model; use a model that generates text")
    if "auto_map" in config:
        raise InputError(
            f"{location}: '{model_type}' needs code from the model, which Alloy does not run; use a model whose "
            "architecture is in transformers"
        )
    raise InputError(
        f"{location}: transformers {transformers.__version__} has no architecture '{model_type}'; use another model"
    )


def _check_sizes(sizes: Any, location: str) -> None:  # noqa: ANN401 (each model has its own class)
    for name in SIZES:
        value = getattr(sizes, name, None)
        if isinstance(value, int) and value < 1:
            raise InputError(f"{location}: {CONFIG}: {name}: expected at least 1, got {value}; download it again")


def check_tensors(folder: Path, location: str, fix: str = "download the model again") -> None:
    """Raise `InputError` unless the files in `folder` have all tensors of the architecture. No memory is needed."""
    from transformers import AutoModelForCausalLM

    with wrap_load_errors(
        f"{location}: the model of {CONFIG} cannot be loaded", f"correct {CONFIG}, or use another model"
    ):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    model, info = loaded
    require_all_tensors(info, location, fix)
    _require_known_layers(model.state_dict().keys(), info["unexpected_keys"], location)


def _require_known_layers(known: Iterable[str], unexpected: Iterable[str], location: str) -> None:
    """Raise `InputError` if the weights have more layers than the architecture, or an adapter that is not merged.

    `known` and `unexpected` are names of tensors. Others that are not used, such as those for images, are no error.
    """
    stacks = {name[: found.end()] for name in known if (found := LAYERS.search(name))}
    for name in sorted(unexpected):
        if "lora_" in name:
            raise InputError(f"{location}: {name}: an adapter that is not merged; merge it (PEFT: merge_and_unload)")
        if (found := LAYERS.search(name)) and name[: found.end()] in stacks:
            raise InputError(
                f"{location}: {name}: {CONFIG} describes fewer layers than the weights have; correct num_hidden_layers"
            )


def require_numbers(folder: Path, location: str) -> None:
    """Raise `InputError` if a weight in `folder` is not a number (NaN): training would fail much later. Reads all."""
    import torch
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dictionary)
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and bool(torch.isnan(tensor.float()).any()):
                    raise InputError(f"{location}: {file.name}: {name} has weights that are NaN; download it again")


def _check_chat(tokenizer: Any, location: str) -> None:  # noqa: ANN401 (each model has its own class)
    with wrap_load_errors(f"{location}: the tokenizer cannot encode a text", "download it again"):
        text = tokenizer.decode(tokenizer("hello")["input_ids"])
    # Without the tokenizer's files, transformers makes a tokenizer with an empty vocabulary.
    if "hello" not in text:
        raise InputError(f"{location}: the tokenizer has no vocabulary; add its files, such as tokenizer.json")
    if tokenizer.chat_template is None:
        raise InputError(
            f"{location}: the tokenizer has no chat template; use an instruction-tuned model, or add the template of "
            "its model family as chat_template.jinja"
        )
    try:
        render_prompt(tokenizer, QUESTION)
        text = " ".join([*get_control_tokens(tokenizer), RARE])
        unusual = render_prompt(tokenizer, [{"role": "user", "content": text}])
    except RenderError as error:
        raise InputError(f"{location}: {TEMPLATE_FILE}: {error}; {FIX}") from None
    try:
        with wrap_load_errors("the tokenizer cannot encode a text", "use another model"):
            encode(tokenizer, [unusual])
    except InputError as error:
        raise InputError(f"{location}: {error}") from None


class _RenderTimeoutError(BaseException):
    """A chat template takes too long. Jinja catches every `Exception` when it computes constants."""


@contextmanager
def _limit_rendering(seconds: float, location: str) -> Iterator[None]:
    """Raise `InputError` in the `with` block after some seconds: the loops of a template may be almost endless.

    Only the main thread can be interrupted, and not within one operation of Python, such as 9 ** 9 ** 9.
    """

    def stop(*_: object) -> None:
        raise _RenderTimeoutError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _RenderTimeoutError:
        raise InputError(
            f"{location}: {TEMPLATE_FILE}: the chat template does not render a question within {seconds:g} seconds; "
            "use the model's original template"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _check_tokens(tokenizer: Any, sizes: Any, location: str) -> None:  # noqa: ANN401 (each model has its own class)
    """Raise `InputError` unless the model has embeddings for all tokens of texts and for those of its chat template.

    Special tokens that the template does not write may be missing: Gemma 3 1B has no embedding of `<image_soft_token>`.
    """
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    chat = render_example(tokenizer, [*QUESTION, {"role": "assistant", "content": ANSWER}]).text
    written = tokenizer(chat, add_special_tokens=False, verbose=False)["input_ids"]
    used = set(tokenizer.get_vocab().values()) - special | set(written)
    if (last := max(used)) >= sizes.vocab_size:
        token = tokenizer.convert_ids_to_tokens(last)
        raise InputError(
            f"{location}: tokenizer.json: the id of {token!r} is {last}, but vocab_size in {CONFIG} is "
            f"{sizes.vocab_size}; use the tokenizer that belongs to the model"
        )
