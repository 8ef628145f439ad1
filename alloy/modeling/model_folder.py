"""A model's folder: a Hugging Face folder, a pinned reference to a hub repository, or the name of a hosted model."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.dvc_outputs import explain_restore
from alloy.core.files import InputError, Row, hash_files, read_json, write_json
from alloy.core.system_errors import is_system_error
from alloy.modeling.architecture import load_config, read_context_length
from alloy.modeling.load_errors import require_all_tensors, wrap_load_errors

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REFERENCE = "hub.json"
HOSTED = "hosted.json"
ORIGIN = "origin.json"  # source of weights that were copied or dequantized
CONFIG_AND_TOKENIZER = ["*.json", "*.txt", "*.model", "*.jinja"]
MODEL_FILES = [*CONFIG_AND_TOKENIZER, "*.safetensors"]


class HubUnreachableError(InputError):
    """A model is not in the cache, and the hub does not answer."""


def write_reference(folder: Path, repository: str, revision: str, sha256: str | None = None) -> None:
    """Make `folder` a reference to `repository` at `revision`. The weights stay in the hub's cache.

    `sha256` is the hash of the repository's files.
    """
    pinned = {"sha256": sha256} if sha256 else {}
    write_json(folder / REFERENCE, {"repository": repository, "revision": revision, **pinned})


def write_hosted(folder: Path, model: str) -> None:
    """Make `folder` a reference to a model that a service hosts, by its name at the service."""
    write_json(folder / HOSTED, {"model": model})


def read_hosted_name(folder: str | Path) -> str | None:
    """Return the name of a hosted model at its service; None if `folder` has weights."""
    file = Path(folder) / HOSTED
    return read_json(file)["model"] if file.is_file() else None


def read_origin(folder: str | Path) -> Row | None:
    """Return the source of the weights in `folder` (origin.json of `base_model`); None if they were made here."""
    file = Path(folder) / ORIGIN
    return read_json(file) if file.is_file() else None


def resolve_weights(folder: str | Path) -> str:
    """Return the local path of the weights that are in `folder`, or that it refers to.

    Raises `InputError` if it refers to files of the hub's cache that changed since.
    """
    folder = Path(folder)
    if model := read_hosted_name(folder):
        raise InputError(f"{folder}: {model} is hosted, so there are no weights; set infer.engine to openai or bedrock")
    if not (folder / REFERENCE).is_file():
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise InputError(f"{folder}: no config.json; run `dvc repro` to create the model")
        return str(folder)
    reference = read_json(folder / REFERENCE)
    snapshot = download_snapshot(reference["repository"], reference["revision"])
    if expected := reference.get("sha256"):
        _require_same_files(snapshot, expected)
    return snapshot


def list_model_files(folder: Path) -> list[Path]:
    """Return the files of a model, sorted: those that would be downloaded from the hub, without hidden files."""
    return sorted(
        file
        for pattern in MODEL_FILES
        for file in folder.rglob(pattern)
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


@lru_cache(maxsize=4)
def _require_same_files(snapshot: str, expected: str) -> None:
    """Raise `InputError` if the files in the hub's cache are not those that the stage `base` used."""
    if (found := hash_files(Path(snapshot), list_model_files(Path(snapshot)))) != expected:
        raise InputError(
            f"{snapshot}: expected sha256 {expected}, got {found}: the files changed after the stage base; remove the "
            "folder and `models/base`, and run `dvc repro`"
        )


def is_cached(repository: str, revision: str) -> bool:
    """Return whether the hub's cache has all files of a model that `download_snapshot` needs, without a request."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(repository, revision=revision, allow_patterns=MODEL_FILES, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return False
    return True


def download_snapshot(repository: str, revision: str) -> str:
    """Return the local snapshot of a hub repository; download safetensors, tokenizer and configuration if needed."""
    return _download(repository, revision, MODEL_FILES, None)


def download_config_and_tokenizer(repository: str, revision: str, folder: Path) -> None:
    """Download configuration and tokenizer of a model to `folder`, without weights; the cache is not changed."""
    _download(repository, revision, CONFIG_AND_TOKENIZER, folder)


def list_hub_files(repository: str, revision: str) -> list[str]:
    """Return the names of the files of a repository on the hub. Nothing is downloaded."""
    from huggingface_hub import HfApi

    with _explain_hub_errors(repository, revision):
        return HfApi().list_repo_files(repository, revision=revision)


def _download(repository: str, revision: str, patterns: list[str], folder: Path | None) -> str:
    from huggingface_hub import snapshot_download

    with _explain_hub_errors(repository, revision):
        return snapshot_download(repository, revision=revision, allow_patterns=patterns, local_dir=folder)


@contextmanager
def _explain_hub_errors(repository: str, revision: str) -> Iterator[None]:
    """Turn the errors of the hub into `InputError`: what is wrong with the name, the revision or the connection."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # no line for every retry
    location = f"model.hub: {repository}"
    try:
        yield
    except HFValidationError:
        raise InputError(
            f"model.hub: expected the name of a repository such as Qwen/Qwen3-0.6B, got '{repository}'"
        ) from None
    except GatedRepoError:
        raise InputError(
            f"{location}: the repository is gated; accept its terms on its hub page, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(f"{location}: no such repository; if it is private, log in with `hf auth login`") from None
    except RevisionNotFoundError:
        raise InputError(
            f"model.revision: {repository} has no commit {revision}; use a commit of the repository's history"
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if is_system_error(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise HubUnreachableError(
            f"model.hub: {repository}@{revision} is not cached and cannot be downloaded ({reason}); connect to the "
            "hub, set HF_HOME to a cache that has it, or use a folder (model.path)"
        ) from None


def read_model_name(folder: str | Path) -> tuple[str, str | None]:
    """Return the name that transformers loads the model by, and the revision if the model is on the hub."""
    folder = Path(folder)
    if not (folder / REFERENCE).is_file():
        return str(folder), None
    reference = read_json(folder / REFERENCE)
    return reference["repository"], reference["revision"]


def choose_device() -> "torch.device":
    """Return the GPU of this process, or the CPU if there is none."""
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")


def load_context_length(folder: str | Path) -> int:
    """Return the context length: the maximum number of tokens of prompt and answer together."""
    weights = resolve_weights(folder)
    with wrap_load_errors(f"{folder}: config.json cannot be loaded", explain_restore(Path(folder))):
        return read_context_length(load_config(weights))


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer. Raises `InputError` if it has no chat template."""
    from transformers import AutoTokenizer

    weights = resolve_weights(folder)
    with wrap_load_errors(f"{folder}: the tokenizer cannot be loaded", explain_restore(Path(folder))):
        tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=False)
    if tokenizer.chat_template is None:
        raise InputError(f"{folder}: the tokenizer has no chat template; use an instruction-tuned model")
    return tokenizer


def load_weights(folder: str | Path, dtype: "torch.dtype") -> Any:  # noqa: ANN401 (a PreTrainedModel)
    """Return the model on the CPU. Only safetensors are loaded, and no code of the model is run.

    Raises `InputError` if the files are damaged, or tensors are missing.
    """
    from transformers import AutoModelForCausalLM

    weights, fix = resolve_weights(folder), explain_restore(Path(folder))
    with wrap_load_errors(f"{folder}: the weights cannot be loaded", fix):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            weights, dtype=dtype, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
    model, report = loaded
    require_all_tensors(report, str(folder), fix)
    return model


def load_model(folder: str | Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Return (model, tokenizer) for inference: bfloat16 on a GPU, float32 on the CPU."""
    import torch

    tokenizer = load_tokenizer(folder)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return load_weights(folder, dtype).to(choose_device()), tokenizer
