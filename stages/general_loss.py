"""Measure the loss of base and tuned model on held-out general rows, and their divergence KL(base || tuned).

Reads   data/decontaminate/heldout.jsonl; models/base, models/tuned
Writes  metrics/general_loss.json: nats per token, by model; metrics/general_loss.jsonl: `{id, tokens, base, tuned, kl}`
        per row, in nats, summed over its tokens
Run     dvc repro general_loss

The accuracy of a small model on questions hardly changes, but its loss does. alloy/evaluation/general_loss.py explains
how both models are measured with only one in memory at a time.
"""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alloy.core.files import Row, count_lines, read_jsonl, write_json, write_jsonl
from alloy.core.stage import run
from alloy.evaluation.settings import GeneralLoss
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.chunks import Job, OnRowDone, run_job
from alloy.runtime.resume import hash_inputs

if TYPE_CHECKING:
    from alloy.evaluation.general_loss import PairedLoss

HELD_OUT = Path("data/decontaminate/heldout.jsonl")
BASE, TUNED = Path("models/base"), Path("models/tuned")
ROWS, METRICS = Path("metrics/general_loss.jsonl"), Path("metrics/general_loss.json")
CHUNK = 16  # rows; an interruption loses at most one chunk, and the hidden states of the base model


def measure_rows(models: "PairedLoss", rows: list[Row], on_row_done: OnRowDone) -> None:
    """Measure each row and pass the result to `on_row_done`."""
    for index, row in enumerate(rows):
        on_row_done(index, models.measure_row(row))


def main() -> None:
    """Load the models, measure the rows, write rows and metrics."""
    settings = GeneralLoss.load()
    service = read_hosted_name(BASE)
    total = min(count_lines(HELD_OUT), settings.limit or sys.maxsize)
    if service or not total:
        write_json(METRICS, {"base": {}, "tuned": {}})
        write_jsonl(ROWS, [])
        why = f"{service} is hosted and returns no likelihoods" if service else "decontaminate held out no rows"
        print(f"general_loss: skipped, {why}")
        return
    rows = read_jsonl(HELD_OUT)[:total]
    from alloy.evaluation.general_loss import count_row, open_models, summarize_losses

    def open_measure() -> "partial[None]":
        return partial(measure_rows, open_models(BASE, TUNED, rows, settings.max_length))

    job = Job(
        name="general loss",
        unit="row",
        open_worker=open_measure,
        count_row=count_row,
        make_metrics=summarize_losses,
    )
    metrics = run_job(job, hash_inputs("general_loss", [settings]), rows, total, CHUNK, (ROWS, METRICS))
    base, tuned = metrics["base"]["loss"], metrics["tuned"]["loss"]
    print(
        f"general_loss: {tuned['rows']} rows, {tuned['tokens']} tokens; base {base['general']:.3f}, "
        f"tuned {tuned['general']:.3f} nats per token, KL {tuned['kl']:.3f}"
    )


if __name__ == "__main__":
    run(main)
