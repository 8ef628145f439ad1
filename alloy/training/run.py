"""Supervised fine-tuning of a causal language model on chat examples: the steps, each in its own file in this folder.

transformers' Trainer does the training. Only the tokens of answers have a loss.
"""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from alloy.core.dvc import is_orphaned
from alloy.core.files import InputError, Row, read_json, write_json
from alloy.runtime.resume import METRICS, SUPERSEDED, WorkFolder, hold_work_folder
from alloy.training import distributed
from alloy.training.arguments import make_arguments
from alloy.training.job import TrainingJob
from alloy.training.library_warnings import silence_libraries
from alloy.training.memory_check import check_memory
from alloy.training.packing import Examples, prepare_examples
from alloy.training.report import make_loss_curve, make_training_report, measure_speed
from alloy.training.save_model import save_trained_model
from alloy.training.trainer_setup import make_trainer


def fit(job: TrainingJob, rows: list[Row]) -> tuple[Row, list[Row]] | None:
    """Train on `rows` and write the model to `job.output`. Return (report, loss curve) on rank 0, None on other ranks.

    The report has the counts and the speed of the training. The curve has rows of `step`, `category` and `loss`: the
    mean over the completion tokens since the previous row, for each category and for `all`.

    1. Encode the rows and pack them into rows of at most `train.max_length` tokens.
    2. Make the Trainer's arguments. With several processes, join the process group.
    3. Print the memory estimate, and stop if the device has less.
    4. On rank 0, lock the work folder of this job. It may hold checkpoints or a finished result of an earlier run.
    5. Unless there is a result: set up, train, report and save (`_train_and_save`).
    6. Publish the model, and return its report and curve.
    """
    silence_libraries()
    examples = prepare_examples(rows, job.tokenizer, job.train, job.section)
    arguments = make_arguments(job, len(examples.dataset))
    if distributed.is_main():
        check_memory(job, arguments)
    with hold_work_folder(job.stage, job.key) if distributed.is_main() else nullcontext() as held:
        work_folder = distributed.broadcast_from_main(held)
        assert work_folder is not None
        if not distributed.broadcast_from_main(work_folder.has_result(job.stage) if distributed.is_main() else None):
            _train_and_save(job, examples, arguments, work_folder)
        elif distributed.is_main():
            print(f"{job.stage}: reusing the result of an earlier run that finished after DVC had exited")
        distributed.leave_process_group()
        if not distributed.is_main():
            return None
        if work_folder.is_superseded():
            raise InputError(SUPERSEDED)
        if is_orphaned():
            raise InputError("finished, but DVC has exited; the next `dvc repro` reuses the result")
        work_folder.publish_output("model", job.output)
        return read_json(work_folder.result / METRICS)[job.stage], read_json(work_folder.result / "curve.json")


def _train_and_save(job: TrainingJob, examples: Examples, arguments: Any, work_folder: WorkFolder) -> None:  # noqa: ANN401 (TrainingArguments)
    """Set up, train, report and save. Model, report and curve together become the result of `work_folder`."""
    from alloy.training.loop import run_training

    arguments.output_dir = str(work_folder.path)  # the Trainer creates it
    trainer = make_trainer(job, examples, arguments)
    order = list(trainer.order)
    work = examples.measure_work()[order].reshape(arguments.max_steps, -1, 3).sum(axis=1)
    trained = run_training(job, trainer, work_folder, work[:, 0].tolist())
    if trained is None:
        return
    total = work.sum(axis=0).tolist()
    curve = make_loss_curve(trained.history, examples.categories, arguments.max_steps)
    report = make_training_report(job, examples, arguments, order, total, curve)
    save_trained_model(job, trainer, work_folder.path / "result.part/model", report)
    if distributed.is_main():

        def write_result(part: Path) -> None:
            write_json(part / METRICS, {job.stage: {**report, **measure_speed(job, total, trained.seconds)}})
            write_json(part / "curve.json", curve)

        work_folder.write_result(write_result)
        for checkpoint in work_folder.path.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
