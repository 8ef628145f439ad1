"""A model's folder: a Hugging Face folder, a pinned reference to a hub repository, or the name of a hosted model."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.dvc_outputs import explain_restore, find_stage
from alloy.core.files import InputError, Row, hash_path, read_json, write_json
from alloy.core.system_errors import is_system_error
from alloy.modeling.architecture import load_config, read_context_length
from alloy.modeling.chat_template import RenderError, render_prompt
from alloy.modeling.load_errors import require_all_tensors, wrap_load_errors

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BASE = Path("models/base")
REFERENCE = "hub.json"
ADAPTER = "adapter_config.json"
HOSTED = "hosted.json"
ORIGIN = "origin.json"  # source of weights that were copied or dequantized
CONFIG_AND_TOKENIZER = ["*.json", "*.txt", "*.model", "*.jinja"]
MODEL_FILES = [*CONFIG_AND_TOKENIZER, "*.safetensors"]


class HubUnreachableError(InputError):
    """A model is not in the cache, and the hub does not answer."""


def write_reference(folder: Path, repository: str, revision: str, files: dict[str, str] | None = None) -> None:
    """Make `folder` a reference to `repository` at `revision`. The weights stay in the hub's cache.

    `files` has the hash of each file of the repository, by name (`hash_model_files`).
    """
    write_json(folder / REFERENCE, {"repository": repository, "revision": revision, "files": files or {}})


def write_hosted(folder: Path, model: str) -> None:
    """Make `folder` a reference to a model that a service hosts, by its name at the service."""
    write_json(folder / HOSTED, {"model": model})


def read_hosted_name(folder: str | Path) -> str | None:
    """Return the name of a hosted model at its service; None if `folder` has weights."""
    file = Path(folder) / HOSTED
    return _read_texts(file, "model")["model"] if file.is_file() else None


def read_origin(folder: str | Path) -> Row | None:
    """Return the source of the weights in `folder` (origin.json of `base_model`); None if they were made here."""
    file = Path(folder) / ORIGIN
    if not file.is_file():
        return None
    source = _read_texts(file, "source", "name")["source"]
    return _read_texts(file, *(("revision", "stop_token") if source == "hub" else ("sha256",)))


def _read_texts(file: Path, *keys: str) -> Row:
    """Return the object in a JSON file; raise `InputError` unless it has text at `keys`."""
    value = read_json(file)
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in keys):
        raise _make_damage_error(file, f"an object with text at {' and '.join(keys)}")
    return value


def _make_damage_error(file: Path, expected: str) -> InputError:
    return InputError(f"{file}: expected {expected}; {explain_restore(file, 'replace the file')}")


def resolve_weights(folder: str | Path, *, verify: bool = False) -> str:
    """Return the local path of the weights that are in `folder`, or that it refers to.

    Raises `InputError` if files of the hub's cache changed since the stage `base`. The weights themselves are only
    checked with `verify`, since that reads all of them.
    """
    folder = Path(folder)
    if model := read_hosted_name(folder):
        raise InputError(f"{folder}: {model} is hosted, so there are no weights; set infer.engine to openai or bedrock")
    if not (folder / REFERENCE).is_file():
        if not any((folder / name).is_file() for name in ("config.json", ADAPTER)):
            raise InputError(f"{folder}: no config.json; run `dvc repro` to create the model")
        return str(folder)
    reference = _read_texts(folder / REFERENCE, "repository", "revision")
    hashes = reference.get("files", {})
    if not isinstance(hashes, dict):
        raise _make_damage_error(folder / REFERENCE, "`files` to be an object with a hash per file name")
    snapshot = download_snapshot(reference["repository"], reference["revision"])
    if os.environ.get("LOCAL_RANK", "0") == "0":  # one process per machine is enough
        for name, expected in hashes.items():
            if verify or not name.endswith(".safetensors"):
                _require_same_file(Path(snapshot), name, expected)
    return snapshot


def resolve_adapter_base(folder: Path, *, verify: bool = False) -> str | None:
    """Return the local path of the base model of the adapter in `folder`; None if `folder` has a whole model."""
    if not (folder / ADAPTER).is_file() or (folder / "config.json").is_file():
        return None
    adapter = _read_texts(folder / ADAPTER, "base_model_name_or_path")
    name, revision = adapter["base_model_name_or_path"], adapter.get("revision")
    if revision is None:
        return resolve_weights(name, verify=verify)
    if (BASE / REFERENCE).is_file() and read_model_name(BASE) == (name, revision):
        return resolve_weights(BASE, verify=verify)
    return download_snapshot(name, revision)


def list_model_files(folder: Path) -> list[Path]:
    """Return the files of a model, sorted: those that would be downloaded from the hub, without hidden files."""
    return sorted(
        file
        for pattern in MODEL_FILES
        for file in folder.rglob(pattern)
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def hash_model_files(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a model, by its name in `folder`."""
    return {str(file.relative_to(folder)): hash_path(file) for file in list_model_files(folder)}


@lru_cache(maxsize=1024)
def _require_same_file(snapshot: Path, name: str, expected: str) -> None:
    """Raise `InputError` if a file in the hub's cache is not the one that the stage `base` used.

    A missing file is ignored, since the cache may lack files that Alloy does not need: other programs fill it as well.
    """
    file = snapshot / name
    if file.is_file() and (found := hash_path(file)) != expected:
        raise InputError(
            f"{file}: expected sha256 {expected}, got {found}; the file has changed since the stage `base` ran: remove "
            f"{snapshot.parent.parent}, and run the same command again"
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
    reference = _read_texts(folder / REFERENCE, "repository", "revision")
    return reference["repository"], reference["revision"]


def choose_device() -> "torch.device":
    """Return the GPU of this process, or the CPU if there is none."""
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")


def load_context_length(folder: str | Path) -> int:
    """Return the context length: the maximum number of tokens of prompt and answer together."""
    return read_context_length(load_model_config(folder))


def load_model_config(folder: str | Path) -> Any:  # noqa: ANN401 (each model has its own class)
    """Return the configuration of the model in `folder`; of an adapter, that of its base model."""
    weights = resolve_weights(folder)
    weights = resolve_adapter_base(Path(weights)) or weights
    with wrap_load_errors(f"{folder}: config.json cannot be loaded", _explain_repair(folder)):
        return load_config(weights)


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """Return the tokenizer. Raises `InputError` if it has no chat template that can render a question."""
    from transformers import AutoTokenizer

    weights = resolve_weights(folder)
    with wrap_load_errors(f"{folder}: the tokenizer cannot be loaded", _explain_repair(folder)):
        tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=False)
    if tokenizer.chat_template is None:
        raise InputError(f"{folder}: the tokenizer has no chat template; use an instruction-tuned model")
    try:
        render_prompt(tokenizer, [{"role": "user", "content": "Hello"}])
    except RenderError as error:
        raise InputError(f"{folder}: chat_template.jinja: {error}; {_explain_repair(folder)}") from None
    return tokenizer


def load_weights(folder: str | Path, dtype: "torch.dtype") -> Any:  # noqa: ANN401 (a PreTrainedModel)
    """Return the model on the CPU. Only safetensors are loaded, and no code of the model is run.

    Raises `InputError` if files are damaged, or tensors are missing.

    An adapter is loaded after its base model. transformers alone would load the base at another commit than the pinned
    one, and not report its missing tensors.
    """
    from transformers import AutoModelForCausalLM

    weights = resolve_weights(folder, verify=True)
    base = resolve_adapter_base(Path(weights), verify=True)
    location, fix = (folder, _explain_repair(folder)) if base is None else (base, _explain_repair(base))
    with wrap_load_errors(f"{location}: the weights cannot be loaded", fix):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base or weights,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    model, report = loaded
    require_all_tensors(report, str(location), fix)
    if base is not None:
        with wrap_load_errors(f"{folder}: the adapter cannot be loaded", _explain_repair(folder)):
            report = model.load_adapter(weights)
        require_all_tensors(report.to_dict(), str(folder), _explain_repair(folder))
    return model


def _explain_repair(folder: str | Path) -> str:
    """Return how to repair a model whose files are damaged."""
    folder = Path(folder)
    if (folder / REFERENCE).is_file():
        return "remove the model from the hub's cache, and run the same command again"
    if folder.parent.name == "snapshots":
        return f"remove {folder.parent.parent}, and run the same command again"
    stage = find_stage(folder)
    return f"`dvc repro {stage}` makes the folder again" if stage else "replace the file"


def load_model(folder: str | Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Return (model, tokenizer) for inference: bfloat16 on a GPU, float32 on the CPU."""
    import torch

    tokenizer = load_tokenizer(folder)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return load_weights(folder, dtype).to(choose_device()), tokenizer
