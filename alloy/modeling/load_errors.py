"""Load the files of a model that someone else made: whatever a library raises becomes an error of one line."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alloy.core.files import InputError
from alloy.core.system_errors import is_system_error

MAX_REASON = 300  # characters of a library's message that are shown


@contextmanager
def wrap_load_errors(location: str, fix: str) -> Iterator[None]:
    """Turn any exception of a library into one line: `location`, the reason, `fix`. Silence the library's log.

    Libraries do not document what they raise for a bad file, so every exception is caught. Put only the library's call
    into the `with` block: an error in Alloy keeps its traceback. System errors, such as a full disk, are not changed.
    """
    try:
        with _silence_logging():
            yield
    except Exception as error:
        if is_system_error(error):
            raise
        raise InputError(f"{location}: {_describe_error(error)}; {fix}") from None


def _describe_error(error: Exception) -> str:
    """Return the message of an exception on one line, with its class if the message is only a name or empty."""
    text = " ".join(str(error).split())
    if " " not in text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."


def load_foreign_tokenizer(folder: Path, location: str) -> Any:  # noqa: ANN401 (each model has its own class)
    """Return the tokenizer in `folder`. Raises `InputError`, which starts with `location`, if it cannot be loaded."""
    from transformers import AutoTokenizer

    with wrap_load_errors(
        f"{location}: the tokenizer (tokenizer.json, tokenizer_config.json) cannot be loaded", "download it again"
    ):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def require_all_tensors(report: dict[str, Any], location: str, fix: str) -> None:
    """Raise `InputError` if weights lack tensors of their architecture, or have others in their place.

    transformers fills such tensors with random numbers. `report` is what `from_pretrained` returns with
    `output_loading_info` and `ignore_mismatched_sizes`.
    """
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{location}: tensors of the architecture are missing ({len(missing)}), such as {missing[0]}; {fix}"
        )
    if mismatched := sorted(report["mismatched_keys"]):
        name, actual, expected = mismatched[0]
        raise InputError(
            f"{location}: {name}: expected shape {list(expected)} as in config.json, got {list(actual)}; {fix}"
        )


@contextmanager
def _silence_logging() -> Iterator[None]:
    """Silence transformers' report of missing tensors and its progress bar; see `require_all_tensors`."""
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


def silence_deepspeed() -> None:
    """Tell DeepSpeed that there is no GPU. Loading a model may import DeepSpeed, which would warn."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
