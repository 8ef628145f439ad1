"""Supervised fine-tuning of a causal LM on chat examples: the steps, each of which is one file beside this one.

Loss is taken on the completions only, by transformers' Trainer.
"""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from alloy.core.dvc import is_orphaned
from alloy.core.files import InputError, Row, read_json, write_json
from alloy.runtime.resume import METRICS, WorkFolder, hold_work_folder
from alloy.training import distributed
from alloy.training.arguments import arguments_of
from alloy.training.job import TrainingJob
from alloy.training.memory_check import check_memory
from alloy.training.packing import Examples, prepare
from alloy.training.quiet import quiet
from alloy.training.report import loss_curve, speed, training_report
from alloy.training.save_model import save
from alloy.training.trainer_setup import trainer_of


def fit(job: TrainingJob, rows: list[Row]) -> tuple[Row, list[Row]] | None:
    """Train on `rows` and put the model at `job.out`, whole. Return (report, loss curve); None beside rank 0.

    The report says what was trained and how fast. The curve has rows of `step`, `category` and `loss`: the mean over
    the completion tokens since the row before, for each category and for `all`. A result that an earlier run left
    unpublished is taken instead of training again.

    1. Encode the rows and pack them into rows of at most `train.max_length` tokens.
    2. Make the Trainer's arguments; with several processes, join them.
    3. Say what memory it takes, and stop if the device cannot hold it.
    4. Hold the folder of this very work, on rank 0, and take up what is there.
    5. Set up, train, report and save (`_train`).
    6. Publish the model, and return what is said of it.
    """
    quiet()
    examples = prepare(rows, job.tokenizer, job.train, job.section)
    arguments = arguments_of(job, len(examples.dataset))
    if distributed.is_main():
        check_memory(job, arguments)
    with hold_work_folder(job.stage, job.key) if distributed.is_main() else nullcontext() as held:
        place = distributed.share(held)
        assert place is not None
        if not distributed.share(place.has_result(job.stage) if distributed.is_main() else None):
            _train(job, examples, arguments, place)
        elif distributed.is_main():
            print(f"{job.stage}: reusing the result of an earlier run that finished after DVC had exited")
        distributed.leave()
        if not distributed.is_main():
            return None
        if place.is_taken_over():
            raise InputError("a later run in this folder has taken over")
        if is_orphaned():
            raise InputError("finished, and dvc is gone; the next `dvc repro` takes the result")
        place.publish_output("model", job.out)
        return read_json(place.result / METRICS)[job.stage], read_json(place.result / "curve.json")


def _train(job: TrainingJob, examples: Examples, arguments: Any, place: WorkFolder) -> None:  # noqa: ANN401 (TrainingArguments)
    """Set up, train, report and save; the model and what is said of it become the result of `place`, whole."""
    from alloy.training.loop import train

    arguments.output_dir = str(place.path)  # which the trainer makes
    trainer = trainer_of(job, examples, arguments)
    order = list(trainer.order)
    work = examples.work()[order].reshape(arguments.max_steps, -1, 3).sum(axis=1)
    trained = train(job, trainer, place, work[:, 0].tolist())
    if trained is None:
        return
    total = work.sum(axis=0).tolist()
    curve = loss_curve(trained.history, examples.categories, arguments.max_steps)
    report = training_report(job, examples, arguments, order, total, curve)
    save(job, trainer, place.path / "result.part/model", report)
    if distributed.is_main():

        def write(part: Path) -> None:
            write_json(part / METRICS, {job.stage: {**report, **speed(job, total, trained.seconds)}})
            write_json(part / "curve.json", curve)

        place.write_result(write)
        for checkpoint in place.path.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
