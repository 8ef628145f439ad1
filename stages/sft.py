"""Supervised fine-tuning of a causal LM on chat examples, by TRL: loss on the completions only."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.chat import render_example, render_prompt
from stages.params import Optimizer, Train
from stages.records import InputError, Row

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED = -100  # a label that takes no part in the loss


def tokenize(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> tuple["Dataset", int]:
    """Return (`input_ids` and `labels` a row, count of rows left out because they exceed `max_length` tokens).

    The completion is the last message with its end-of-turn token; a row is kept whole or not at all.
    """
    from datasets import Dataset

    prompts = [render_prompt(tokenizer, row["messages"][:-1]) for row in rows]
    wholes = [render_example(tokenizer, row["messages"]) for row in rows]
    for row, prompt, whole in zip(rows, prompts, wholes, strict=True):
        if not whole.startswith(prompt):
            raise InputError(
                f"row '{row['id']}': the chat template renders the prompt differently with the answer behind it; "
                "take a template whose generation prompt is the start of the assistant's turn"
            )
    completions = [whole[len(prompt) :].removesuffix("\n") for prompt, whole in zip(prompts, wholes, strict=True)]
    prompt_ids = tokenizer(prompts, add_special_tokens=False, verbose=False)["input_ids"]
    completion_ids = tokenizer(completions, add_special_tokens=False, verbose=False)["input_ids"]
    kept: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for prompt, completion in zip(prompt_ids, completion_ids, strict=True):
        if len(prompt) + len(completion) <= max_length:
            kept["input_ids"].append(prompt + completion)
            kept["labels"].append([IGNORED] * len(prompt) + completion)
    return Dataset.from_dict(kept), len(rows) - len(kept["labels"])


def fit(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: list[Row],
    train: Train,
    seed: int,
    out: Path,
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Train `model` on `rows` and save it to `out` whole; return (report, loss by step).

    The report counts steps, examples, dropped rows and tokens, and the speed in tokens a second.
    """
    from datasets import disable_progress_bars
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from transformers.utils import logging

    from stages.optimizer import muon
    from stages.trainer import CompletionTrainer, TrainProgress

    disable_progress_bars()
    logging.disable_progress_bar()
    dataset, dropped = tokenize(rows, tokenizer, train.max_length)
    if not len(dataset):
        raise InputError(f"train.max_length: all {len(rows)} rows exceed {train.max_length} tokens; raise it")
    tokens = sum(map(len, dataset["input_ids"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        trainer = CompletionTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=dataset,
            args=_arguments(train, seed, scratch),
            optimizers=(muon(model, train.lr, train.weight_decay), None)
            if train.optimizer is Optimizer.muon
            else (None, None),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        progress = TrainProgress()
        trainer.add_callback(progress)
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
        saved = Path(scratch) / "model"
        trainer.save_model(str(saved))
        (saved / "training_args.bin").unlink(missing_ok=True)  # a pickle, and full of this machine's paths
        saved.replace(out)
    epochs = trainer.state.epoch or 0.0
    seen = round(tokens * epochs)
    report = {
        "examples": len(dataset),
        "dropped": dropped,
        "steps": trainer.state.global_step,
        "epochs": round(epochs, 3),
        "tokens": seen,
        "tokens_per_second": round(seen / seconds),
        "loss": round(progress.losses[-1]["loss"], 4),
    }
    return report, progress.losses


def _arguments(train: Train, seed: int, folder: str) -> Any:  # noqa: ANN401 (SFTConfig, imported late)
    import torch
    from trl.trainer.sft_config import SFTConfig

    from stages.optimizer import BETAS

    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=folder,
        seed=seed,
        data_seed=seed,
        learning_rate=train.lr,
        num_train_epochs=train.epochs,
        max_steps=train.max_steps or -1,
        # Rows are packed to full length, so one row fills a forward pass; accumulation makes the global batch.
        per_device_train_batch_size=1 if train.packing else train.global_batch,
        gradient_accumulation_steps=train.global_batch if train.packing else 1,
        lr_scheduler_type=train.schedule.value,
        warmup_steps=train.warmup,
        weight_decay=train.weight_decay,
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        max_length=train.max_length,
        packing=train.packing,
        bf16=gpu,
        gradient_checkpointing=False,
        completion_only_loss=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
    )
