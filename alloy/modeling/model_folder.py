"""Where a model's weights are: an ordinary Hugging Face folder, or a pinned reference to a hub repository."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row, read_json, write_json
from alloy.core.system_errors import is_system_error
from alloy.modeling.architecture import context_of, load_config

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REFERENCE = "hub.json"
HOSTED = "hosted.json"
ORIGIN = "origin.json"  # beside weights that were copied or dequantized
DESCRIPTION_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]  # tokenizer, configuration
MODEL_FILES = [*DESCRIPTION_FILES, "*.safetensors"]


class HubUnreachableError(InputError):
    """A model is not in the cache, and the hub does not answer."""


def write_reference(folder: Path, repository: str, revision: str, sha256: str | None = None) -> None:
    """Make `folder` stand for `repository` at `revision`; the weights stay in the hub's own cache.

    `sha256` is the hash of the files that were found there.
    """
    pinned = {"sha256": sha256} if sha256 else {}
    write_json(folder / REFERENCE, {"repository": repository, "revision": revision, **pinned})


def write_hosted(folder: Path, model: str) -> None:
    """Make `folder` stand for a model that a service hosts, by the name that the service knows."""
    write_json(folder / HOSTED, {"model": model})


def hosted(folder: str | Path) -> str | None:
    """Return the name by which a service knows the model that `folder` stands for, or None for weights."""
    file = Path(folder) / HOSTED
    return read_json(file)["model"] if file.is_file() else None


def origin(folder: str | Path) -> Row | None:
    """Return where the weights in `folder` came from, as `alloy.modeling.base_model` wrote it; None if made here."""
    file = Path(folder) / ORIGIN
    return read_json(file) if file.is_file() else None


def resolve(folder: str | Path) -> str:
    """Return the local path of the weights that `folder` holds or refers to."""
    folder = Path(folder)
    if model := hosted(folder):
        raise InputError(f"{folder}: {model} is hosted, without weights here; set infer.engine to openai or bedrock")
    if not (folder / REFERENCE).is_file():
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise InputError(f"{folder}: no config.json; run `dvc repro` to make the model")
        return str(folder)
    reference = read_json(folder / REFERENCE)
    return download(reference["repository"], reference["revision"])


def is_cached(repository: str, revision: str) -> bool:
    """Say whether the hub's cache has all files of a model that `download` would fetch; the hub is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(repository, revision=revision, allow_patterns=MODEL_FILES, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return False
    return True


def download(repository: str, revision: str) -> str:
    """Return the local snapshot of a hub repository: safetensors, tokenizer and configuration only."""
    return _download(repository, revision, MODEL_FILES, None)


def download_description(repository: str, revision: str, folder: Path) -> None:
    """Fetch the tokenizer and the configuration of a model into `folder`, and no weights; the cache stays as it is."""
    _download(repository, revision, DESCRIPTION_FILES, folder)


def _download(repository: str, revision: str, patterns: list[str], folder: Path | None) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # it tells of each time that it tries again
    place = f"model.hub: {repository}"
    try:
        return snapshot_download(repository, revision=revision, allow_patterns=patterns, local_dir=folder)
    except HFValidationError:
        raise InputError(
            f"model.hub: '{repository}' is no name of a hub repository; write one such as Qwen/Qwen3-0.6B"
        ) from None
    except GatedRepoError:
        raise InputError(
            f"{place}: gated; accept its terms on its page of the hub, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(f"{place}: there is no such repository, or it is private: `hf auth login`") from None
    except RevisionNotFoundError:
        raise InputError(f"model.revision: {repository} has no commit {revision}; take one of its history") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if is_system_error(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise HubUnreachableError(
            f"model.hub: {repository}@{revision} is neither cached nor to be had ({reason}); connect, fetch it on "
            "another machine and set HF_HOME to its cache, or take the model from a folder (model.path)"
        ) from None


def name(folder: str | Path) -> tuple[str, str | None]:
    """Return the name under which transformers finds the model anywhere, and its revision if it is on the hub."""
    folder = Path(folder)
    if not (folder / REFERENCE).is_file():
        return str(folder), None
    reference = read_json(folder / REFERENCE)
    return reference["repository"], reference["revision"]


def device() -> "torch.device":
    """Return the accelerator of this process, else the CPU."""
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")


def silence_deepspeed() -> None:
    """Tell DeepSpeed, which some ways to load a model import, that there is no GPU; else it warns of that."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def context_length(folder: str | Path) -> int:
    """Return how many tokens the model can have before it, prompt and answer together."""
    return context_of(load_config(resolve(folder)))


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer; one without a chat template raises."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve(folder), trust_remote_code=False)
    if tokenizer.chat_template is None:
        raise InputError(f"{folder}: the tokenizer has no chat template; take an instruction-tuned model")
    return tokenizer


def load_weights(folder: str | Path, dtype: "torch.dtype") -> Any:  # noqa: ANN401 (a PreTrainedModel)
    """Return the model on the CPU: safetensors only, no remote code."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(
        resolve(folder), dtype=dtype, use_safetensors=True, trust_remote_code=False
    )


def load(folder: str | Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Return (model, tokenizer) for inference: bfloat16 on a GPU, float32 on the CPU."""
    import torch

    tokenizer = load_tokenizer(folder)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return load_weights(folder, dtype).to(device()), tokenizer
