"""Silence library warnings that users cannot act on."""

import logging
import os
import warnings


def silence_libraries() -> None:
    """Silence the warnings of torch, transformers, accelerate and DeepSpeed about how they are combined."""
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # Warnings that DeepSpeed accumulates the gradients, and that a tied output layer is not in a checkpoint.
    for name in ("DeepSpeed", "accelerate.accelerator", "transformers.trainer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise DeepSpeed warns that there is no accelerator
    # DeepSpeed uses deprecated names of torch.distributed.
    warnings.filterwarnings("ignore", r".*torch\.distributed\.\w+.* is deprecated", FutureWarning)
