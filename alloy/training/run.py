"""Supervised fine-tuning of a causal LM on chat examples, by transformers' Trainer: loss on the completions only."""

import os
import resource
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from alloy.core.dvc import orphaned
from alloy.core.files import InputError, Row, read_json, write_json
from alloy.core.scale import Method
from alloy.runtime.resume import METRICS, Place, hold
from alloy.training import distributed
from alloy.training.cost import parameters, peak_flops, training_flops
from alloy.training.packing import Examples, prepare
from alloy.training.save_model import save
from alloy.training.trainer_setup import Run, announce, arguments_of, quiet, trainer_of

POINTS = 200  # of a loss curve, at most


def fit(run: Run, rows: list[Row]) -> tuple[Row, list[Row]] | None:
    """Train on `rows` and put the model at `run.out`, whole. Return (report, loss curve); None beside rank 0.

    The report says what was trained and how fast. The curve has rows of `step`, `category` and `loss`: the mean over
    the completion tokens since the row before, for each category and for `all`.
    """
    quiet()
    examples = prepare(rows, run.tokenizer, run.train, run.section)
    arguments = arguments_of(run, len(examples.dataset))
    if distributed.is_main():
        announce(run, arguments)
    with hold(run.stage, run.key) if distributed.is_main() else nullcontext() as held:
        place = distributed.share(held)
        assert place is not None
        if not distributed.share(place.result.exists()):
            _train(run, examples, arguments, place)
        elif distributed.is_main():
            print(f"{run.stage}: finished in an earlier run that DVC did not see the end of; taking its result")
        distributed.leave()
        if not distributed.is_main():
            return None
        if place.taken_over():
            raise InputError("a later run in this folder has taken over")
        if orphaned():
            raise InputError("finished, and dvc is gone; the next `dvc repro` takes the result")
        place.publish("model", run.out)
        return read_json(place.result / METRICS)[run.stage], read_json(place.result / "curve.json")


def _train(run: Run, examples: Examples, arguments: Any, place: Place) -> None:  # noqa: ANN401 (TrainingArguments)
    """Train from the last checkpoint on, and leave model and report as the result of `place`."""
    import torch

    from alloy.training.callbacks import Checkpoints, Progress

    arguments.output_dir = str(place.folder)
    checkpoint = distributed.share(place.checkpoint())
    trainer = trainer_of(run, examples, arguments)
    work = examples.work()[list(trainer.order)].reshape(arguments.max_steps, -1, 3).sum(axis=1)
    progress = Progress(run.stage, run.section, work[:, 0].tolist(), _seconds(checkpoint))
    checkpoints = Checkpoints(place, checkpoint_size(run))
    trainer.add_callback(progress)
    trainer.add_callback(checkpoints)
    if checkpoint and distributed.is_main():
        print(f"{run.stage}: going on after step {checkpoint.name.rpartition('-')[2]} of {arguments.max_steps}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise InputError(
            f"the GPU's memory is full in step {trainer.state.global_step + 1}; set "
            f"{run.section}.gradient_checkpointing, lower {run.section}.max_length, or share the state among GPUs by "
            f"{run.section}.deepspeed"
        ) from None
    finally:
        checkpoints.release()
    if checkpoints.stopped:
        distributed.leave()
        if not distributed.is_main():
            return  # rank 0 says it, and fails
        raise InputError(
            f"stopped after step {trainer.state.global_step} of {arguments.max_steps}; `dvc repro` goes on from there"
        )
    curve = loss_curve(trainer.state.log_history, examples.categories, arguments.max_steps)
    report = {
        "parameters": parameters(run.config).total,
        **_counts(examples, arguments, work.sum(axis=0).tolist()),
        "loss": next(row["loss"] for row in reversed(curve) if row["category"] == "all"),
    }
    part = place.folder / "result.part"
    save(run, trainer, part / "model", report)
    if distributed.is_main():
        speed = _speed(run, work.sum(axis=0).tolist(), progress.seconds)
        write_json(part / METRICS, {run.stage: {**report, **speed}})
        write_json(part / "curve.json", curve)
        part.rename(place.result)
        for checkpoint in place.folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)


def _seconds(checkpoint: Path | None) -> float:
    """Return the seconds of training behind a checkpoint."""
    if checkpoint is None:
        return 0.0
    return read_json(checkpoint / "trainer_state.json")["stateful_callbacks"]["Progress"]["attributes"]["seconds"]


def checkpoint_size(run: Run) -> int:
    """Return the bytes of a checkpoint, about: the weights, and for those that are trained a copy and two moments."""
    size = parameters(run.config).total
    return 4 * size if run.train.method is Method.lora else 16 * size


def _counts(examples: Examples, arguments: Any, work: list[int]) -> Row:  # noqa: ANN401 (TrainingArguments)
    rows = (
        arguments.max_steps * arguments.train_batch_size * arguments.gradient_accumulation_steps * distributed.world()
    )
    return {
        "examples": examples.examples,
        "dropped": examples.dropped,
        "steps": arguments.max_steps,
        "epochs": round(rows / len(examples.dataset), 3),
        "tokens": work[0],
        "completion_tokens": work[2],
    }


def _speed(run: Run, work: list[int], seconds: float) -> Row:
    """Return tokens a second, hours of all GPUs or cores, peak memory of rank 0 in GiB, and the MFU where known."""
    import torch

    tokens, squares, completions = work
    speed: Row = {"tokens_per_second": round(tokens / seconds)}
    if not torch.cuda.is_available():
        speed["core_hours"] = round(seconds * (os.cpu_count() or 1) / 3600, 5)
        return {**speed, "peak_memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}
    speed["gpu_hours"] = round(seconds * distributed.world() / 3600, 5)
    speed["peak_memory"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if peak := peak_flops(torch.cuda.get_device_name()):
        flops = training_flops(run.config, tokens, squares, completions, run.train.method)
        speed["mfu"] = round(flops / seconds / peak / distributed.world(), 4)
    return speed


def loss_curve(history: list[dict[str, float]], categories: list[str], steps: int) -> list[Row]:
    """Return the mean loss a completion token over spans of steps, up to `POINTS` of them, by category and for all."""
    span = -(-steps // POINTS)
    curve: list[Row] = []
    logged = [row for row in history if "loss" in row]
    for first in range(0, len(logged), span):
        rows = logged[first : first + span]
        sums = {
            name: (
                sum(row.get(f"loss/{name}", 0.0) * row.get(f"tokens/{name}", 0.0) for row in rows),
                sum(row.get(f"tokens/{name}", 0.0) for row in rows),
            )
            for name in categories
        }
        sums["all"] = (sum(loss for loss, _ in sums.values()), sum(tokens for _, tokens in sums.values()))
        curve += [
            {"step": int(rows[-1]["step"]), "category": name, "loss": round(loss / tokens, 4)}
            for name, (loss, tokens) in sums.items()
            if tokens
        ]
    return curve
