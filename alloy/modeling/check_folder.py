"""Check whether a Hugging Face folder can be a base model, before anything else is done with it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, read_json
from alloy.modeling.end_of_turn import find_missing_stop_token
from alloy.modeling.model_folder import silence_deepspeed

CONFIG, INDEX, TOKENIZER = "config.json", "model.safetensors.index.json", "tokenizer_config.json"
# Formats of weights that may run code when they are loaded (pickle), or that torch cannot read.
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx")


def check_folder(folder: Path, location: str) -> None:
    """Raise `InputError` unless `folder` holds a model that Alloy can train. `location` is the start of the message.

    No weights are loaded; only the names and shapes of the tensors are compared with the architecture.

    1. There is a config.json.
    2. There are safetensors files: every file listed in the index, and each is complete.
    3. transformers has the architecture as a causal language model, without code from the model.
    4. The files contain every tensor of that architecture, with the right shape.
    5. There is a tokenizer, and its chat template can render a question.
    6. The template ends an answer with a token at which the model stops or can be made to stop.
    """
    config = _read_config(folder, location)
    _check_files(folder, location)
    _check_architecture(config, location)
    _check_tensors(folder, location)
    _check_chat(folder, location)
    with _silence_logging(), _wrap_load_errors(location):
        find_missing_stop_token(folder, location)


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
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if others := sorted(file.name for pattern in OTHER_WEIGHTS for file in folder.glob(pattern)):
            raise InputError(
                f"{location}: no *.safetensors, only {others[0]}, which may run code when it is loaded; if you trust "
                "it, load the model with transformers and save it with save_pretrained"
            )
        raise InputError(f"{location}: no weights (*.safetensors); download the weights")
    if (folder / INDEX).is_file():
        named = set(read_json(folder / INDEX).get("weight_map", {}).values())
        if missing := sorted(named - {file.name for file in files}):
            raise InputError(f"{location}: no {missing[0]}, which is listed in {INDEX}; download it")
    for file in files:
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{location}: {file.name} is not a complete safetensors file ({error}); download it again"
            ) from None


def _check_architecture(config: dict[str, Any], location: str) -> None:
    import transformers
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    model_type = config["model_type"]
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
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


def _check_tensors(folder: Path, location: str) -> None:
    """Load the model onto the device `meta`, which needs no memory, and check what transformers reports."""
    from transformers import AutoModelForCausalLM

    with _silence_logging(), _wrap_load_errors(location):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    _, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise InputError(
            f"{location}: {len(missing)} tensors of the architecture in {CONFIG} are missing, such as {missing[0]}; "
            "download the model again"
        )
    if mismatched := sorted(info["mismatched_keys"]):
        name, actual, expected = mismatched[0]
        raise InputError(
            f"{location}: {name}: expected shape {list(expected)} as in {CONFIG}, got {list(actual)}; use matching "
            "files"
        )


def _check_chat(folder: Path, location: str) -> None:
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    with _silence_logging(), _wrap_load_errors(f"{location}: the tokenizer cannot be loaded"):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    # Without the tokenizer's files, transformers makes a tokenizer with an empty vocabulary.
    if "hello" not in tokenizer.decode(tokenizer("hello")["input_ids"]):
        raise InputError(f"{location}: the tokenizer has no vocabulary; add its files, such as tokenizer.json")
    if tokenizer.chat_template is None:
        raise InputError(
            f"{location}: the tokenizer has no chat template; use an instruction-tuned model, or add the template of "
            "its model family as chat_template.jinja"
        )
    try:
        question = [{"role": "user", "content": "Hello"}]
        tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    except (TemplateError, TypeError) as error:
        raise InputError(
            f"{location}: the chat template cannot render a question ({error}); use another template"
        ) from None


@contextmanager
def _wrap_load_errors(location: str) -> Iterator[None]:
    """Turn errors of transformers into one line that starts with `location`."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{location}: {reason}") from None


@contextmanager
def _silence_logging() -> Iterator[None]:
    """Silence transformers' report of missing tensors and its progress bar. `_check_tensors` reports the first one."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    silence_deepspeed()
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
