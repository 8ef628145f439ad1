"""Label the test comments with a model.

Reads   data/split/test.jsonl, train.jsonl, taxonomy.json, task.json; models/<model>
Writes  data/predictions/<model>.jsonl: `{id, hash, raw, valid, finish, segments}`, in the order of the test set,
        with the `reason` if there is no answer (longer than the context, refused, failed after retries);
        metrics/infer/<model>.json
Run     dvc repro infer@tuned
"""

import sys
from pathlib import Path

from alloy.core.files import count_lines, stream_jsonl, write_json, write_jsonl
from alloy.core.settings import load_sections
from alloy.core.stage import read_model_name, run
from alloy.inference.settings import Infer
from alloy.inference.usage import format_unanswered, make_needs_retry
from alloy.labeling.predict import build_metrics, count_prediction, open_labeler
from alloy.labeling.settings import Prompt
from alloy.labeling.task import SPLIT_FOLDER, load_task
from alloy.modeling.model_folder import read_hosted_name
from alloy.runtime.chunks import Job, run_job
from alloy.runtime.resume import hash_inputs


def main() -> None:
    """Load model and prompts, label the comments, write predictions and metrics."""
    name = read_model_name()
    prompt, infer = load_sections(Prompt, Infer)
    out, metrics = Path(f"data/predictions/{name}.jsonl"), Path(f"metrics/infer/{name}.json")
    model, test = Path("models", name), SPLIT_FOLDER / "test.jsonl"
    if name != "base" and read_hosted_name(model):  # `model` is the base model, and its answers cost money
        write_jsonl(out, [])
        write_json(metrics, {name: {}})
        print(f"infer {name}: skipped, nothing was trained")
        return
    prompts = load_task(prompt)
    job = Job(
        name=f"infer {name}",
        unit="comment",
        open_worker=lambda: open_labeler(model, infer, prompts),
        count_row=count_prediction,
        make_metrics=lambda totals: {name: {"infer": build_metrics(totals)}},
        needs_retry=make_needs_retry(infer),
    )
    total = min(count_lines(test), infer.limit or sys.maxsize)
    key = hash_inputs("infer", [prompt, infer.answer_settings], name)
    inference = run_job(job, key, stream_jsonl(test), total, infer.chunk_size, (out, metrics))[name]["infer"]
    print(
        f"infer {name}: {inference['comments']} comments, {inference['comments_per_second']:.1f} per second; "
        f"{inference['invalid_json']:.1%} of the answers are not valid JSON, {inference['ended_by_length']:.1%} are "
        "cut at infer.max_new_tokens"
    )
    if any(inference["unanswered"].values()):
        note = format_unanswered(f"infer@{name}", "comment", inference["unanswered"], f"see `reason` in {out}", infer)
        print(f"infer {name}: {note}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
