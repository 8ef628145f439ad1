"""Silences warnings of the libraries that users cannot act on."""

import logging
import os
import warnings


def silence_libraries() -> None:
    """Silence warnings of torch, transformers, accelerate and DeepSpeed about each other."""
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # They warn that DeepSpeed does the accumulation, and that a tied output layer is not in a checkpoint.
    for name in ("DeepSpeed", "accelerate.accelerator", "transformers.trainer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise it warns that it found no accelerator
    # DeepSpeed uses deprecated names of torch.distributed.
    warnings.filterwarnings("ignore", r".*torch\.distributed\.\w+.* is deprecated", FutureWarning)
