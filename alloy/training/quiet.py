"""Silences warnings of the libraries that users cannot act on."""

import logging
import os
import warnings


def quiet() -> None:
    """Silence what torch, transformers, accelerate and DeepSpeed say about one another."""
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # That DeepSpeed does the accumulation; that a tied head is not in a checkpoint.
    for name in ("DeepSpeed", "accelerate.accelerator", "transformers.trainer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it found nothing else
    # DeepSpeed calls names of torch.distributed that torch is about to take back.
    warnings.filterwarnings("ignore", r".*torch\.distributed\.\w+.* is deprecated", FutureWarning)
