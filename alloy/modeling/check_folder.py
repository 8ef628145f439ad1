"""Whether a Hugging Face folder can be a base model, found out before anything else is done with it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alloy.core.files import InputError, read_json
from alloy.modeling.end_of_turn import missing_stop
from alloy.modeling.model_folder import silence_deepspeed

CONFIG, INDEX, TOKENIZER = "config.json", "model.safetensors.index.json", "tokenizer_config.json"
# Formats of weights that are read by running code which the file names (pickle), or that torch does not read.
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx")


def check_folder(folder: Path, place: str) -> None:
    """Raise `InputError`, one line that begins with `place`, unless `folder` holds a model that Alloy can train.

    No weight is loaded: files of weights are opened, and their names and shapes compared with the architecture's.

    1. There is a config.json.
    2. There are safetensors, each whole, and each that the index names.
    3. transformers knows the architecture as a causal language model, without code that comes with the model.
    4. The files have every tensor of that architecture, in its shape.
    5. There is a tokenizer, and its chat template can put a question.
    6. The template ends an answer with a token at which the model stops, or can be made to.
    """
    config = _read_config(folder, place)
    _check_files(folder, place)
    _check_architecture(config, place)
    _check_tensors(folder, place)
    _check_chat(folder, place)
    with _quiet(), _one_line(place):
        missing_stop(folder, place)


def _read_config(folder: Path, place: str) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        if (folder / "adapter_config.json").is_file():
            raise InputError(f"{place}: an adapter without its base model; merge it into one (PEFT: merge_and_unload)")
        raise InputError(f"{place}: no {CONFIG}; name the folder that save_pretrained wrote")
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"{place}: {CONFIG} has no model_type, so its architecture is unknown")
    return config


def _check_files(folder: Path, place: str) -> None:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if others := sorted(file.name for pattern in OTHER_WEIGHTS for file in folder.glob(pattern)):
            raise InputError(
                f"{place}: no safetensors, only {others[0]}, which could run code when it is loaded; load the model "
                "with transformers where you trust it, and save it with save_pretrained"
            )
        raise InputError(f"{place}: no weights (*.safetensors)")
    if (folder / INDEX).is_file():
        named = set(read_json(folder / INDEX).get("weight_map", {}).values())
        if missing := sorted(named - {file.name for file in files}):
            raise InputError(f"{place}: no {missing[0]}, which {INDEX} names; fetch it")
    for file in files:
        try:
            with safe_open(file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{place}: {file.name} is not a whole safetensors file ({error}); fetch it again"
            ) from None


def _check_architecture(config: dict[str, Any], place: str) -> None:
    import transformers
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config["model_type"]
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if kind in CONFIG_MAPPING:
        raise InputError(f"{place}: '{kind}' is not a causal language model, which writes text word by word")
    if "auto_map" in config:
        raise InputError(
            f"{place}: '{kind}' needs code that comes with the model, and Alloy runs none; take a model whose "
            "architecture transformers has"
        )
    raise InputError(f"{place}: transformers {transformers.__version__} has no architecture '{kind}'")


def _check_tensors(folder: Path, place: str) -> None:
    """Load the model onto the device `meta`, which has no memory, and look at what transformers says of it."""
    from transformers import AutoModelForCausalLM

    with _quiet(), _one_line(place):
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
        raise InputError(f"{place}: {len(missing)} tensors of {CONFIG} are in no file, such as {missing[0]}")
    if mismatched := sorted(info["mismatched_keys"]):
        name, held, wanted = mismatched[0]
        raise InputError(f"{place}: {name} is {list(held)}, {CONFIG} says {list(wanted)}")


def _check_chat(folder: Path, place: str) -> None:
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    with _quiet(), _one_line(f"{place}: the tokenizer cannot be loaded"):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    # Without its files, transformers makes a tokenizer of the architecture's class that knows no words.
    if "hello" not in tokenizer.decode(tokenizer("hello")["input_ids"]):
        raise InputError(f"{place}: the tokenizer knows no words; the folder lacks its files, such as tokenizer.json")
    if tokenizer.chat_template is None:
        raise InputError(
            f"{place}: the tokenizer has no chat template; take an instruction-tuned model, or write the template of "
            "its family to chat_template.jinja beside config.json"
        )
    try:
        question = [{"role": "user", "content": "Hello"}]
        tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    except (TemplateError, TypeError) as error:
        raise InputError(f"{place}: the chat template fails on a question ({error})") from None


@contextmanager
def _one_line(place: str) -> Iterator[None]:
    """Turn what transformers raises for a folder that it cannot load into one line that begins with `place`."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{place}: {reason}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' report of missing tensors, of which the first is told here, and its progress bar."""
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
