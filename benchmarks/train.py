"""Compare tokens per second of Alloy's training, a bare PyTorch loop, and TRL's defaults.

    dvc repro mix
    python -m benchmarks.train [profile] [steps] [rounds] [config.json]

All three train the same random weights of the profile's shape on the rows of data/mix/train.jsonl with the same AdamW.
They take turns, so that other work on the machine affects all of them. Padding does not count as tokens. The result is
written to benchmarks/results/train-<profile>-<machine>-<date>.json: speeds by round, and the median ratios. A profile
with a model of the hub takes its shape and vocabulary size from `config.json`; the token ids are those of the demo's
tokenizer.
"""

import datetime
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from alloy.core.files import Row, read_jsonl, write_json
from alloy.runtime.resume import WorkFolder
from alloy.training.arguments import make_arguments
from alloy.training.callbacks import Checkpoints, Progress
from alloy.training.cost import count_training_flops, find_peak_flops
from alloy.training.job import TrainingJob
from alloy.training.library_warnings import silence_libraries
from alloy.training.optimizer import BETAS
from alloy.training.packing import Examples, flatten_rows, prepare_examples, tokenize_rows
from alloy.training.settings import LongRow, Method, Model, Optimizer, Schedule, Train
from alloy.training.tiny_qwen import iterate_texts, new_config, new_tokenizer
from alloy.training.trainer_setup import make_trainer

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")


def measure_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of `work`, including its pending work on the GPU."""
    start = time.perf_counter()
    work()
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def make_model(run: TrainingJob) -> Any:  # noqa: ANN401 (a PreTrainedModel)
    """Return a model in float32, with the same random weights every time."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(run.config, dtype=torch.float32)


def measure_alloy(run: TrainingJob, examples: Examples, folder: Path) -> float:
    """Return the seconds of Alloy's training, with its progress bar and checkpoints."""
    arguments = make_arguments(run, len(examples.dataset))
    arguments.output_dir = str(folder)
    trainer = make_trainer(run, examples, arguments)
    work_folder = WorkFolder(folder, folder / "claim", "benchmark")
    work_folder.claim.write_text(work_folder.run)
    progress = Progress("train", "train", [0] * arguments.max_steps)
    checkpoints = Checkpoints(work_folder, 0)
    trainer.add_callback(progress)
    trainer.add_callback(checkpoints)
    trainer.train()
    checkpoints.restore_signals()
    return progress.seconds


def measure_bare_loop(run: TrainingJob, examples: Examples, order: list[int]) -> float:
    """Return the seconds of a minimal loop with the same steps."""
    train = run.train
    model = make_model(run).to(DEVICE)
    model.train()
    if train.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=train.lr, betas=BETAS, weight_decay=0.0, fused=True)

    def run_steps() -> None:
        for first in range(0, len(order), train.global_batch):
            batches = [
                {key: value.to(DEVICE) for key, value in flatten_rows([examples.dataset[row]]).items()}
                for row in order[first : first + train.global_batch]
            ]
            count = sum(batch["labels"].numel() for batch in batches)
            for batch in batches:
                labels, _ = batch.pop("labels")[0], batch.pop("category")
                with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
                    logits = model(**batch, use_cache=False).logits[0].float()
                    loss = cross_entropy(logits, labels, reduction="sum") / count
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return measure_seconds(run_steps)


def measure_trl(run: TrainingJob, rows: "Dataset", steps: int, folder: Path) -> float:
    """Return the seconds per token of TRL's SFTTrainer with its defaults, except for the number of steps."""
    trainer = SFTTrainer(
        model=make_model(run).to(DEVICE),
        processing_class=run.tokenizer,
        train_dataset=rows,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            use_cpu=not GPU,
            bf16=GPU,  # its default is not supported on a CPU, where all three use float32
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    trainer.remove_callback(PrinterCallback)
    seen: list[int] = []
    original = trainer.compute_loss

    def count_tokens(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (as in Trainer)
        seen.append(int(inputs["attention_mask"].sum()))
        return original(model, inputs, *args, **kwargs)

    trainer.compute_loss = count_tokens  # type: ignore[method-assign]
    elapsed = measure_seconds(trainer.train)
    return elapsed / sum(seen)


def measure_speeds(run: TrainingJob, rows: list[Row], steps: int, rounds: int) -> Row:
    """Return tokens per second of each round, and the median ratios."""
    examples = prepare_examples(rows, run.tokenizer, run.train)
    plain = tokenize_rows(rows, run.tokenizer).select_columns(["input_ids", "labels"])
    longest = run.train.max_length
    plain = plain.filter(lambda row: len(row["input_ids"]) <= longest)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        order = list(make_trainer(run, examples, make_arguments(run, len(examples.dataset))).order)
        tokens, squares, completions = examples.measure_work()[order].sum(axis=0).tolist()
        measure_bare_loop(run, examples, order[: 2 * run.train.global_batch])  # warm-up
        speeds: dict[str, list[float]] = {"alloy": [], "bare": [], "trl": []}
        for _ in range(rounds):
            speeds["alloy"].append(tokens / measure_alloy(run, examples, folder))
            speeds["bare"].append(tokens / measure_bare_loop(run, examples, order))
            speeds["trl"].append(1 / measure_trl(run, plain, steps, folder))
            print({key: round(values[-1]) for key, values in speeds.items()}, flush=True)
    ratios = {
        f"alloy/{other}": round(
            statistics.median(a / b for a, b in zip(speeds["alloy"], speeds[other], strict=True)), 3
        )
        for other in ("bare", "trl")
    }
    result: Row = {"tokens_per_second": {key: [round(value) for value in values] for key, values in speeds.items()}}
    if GPU and (peak := find_peak_flops(torch.cuda.get_device_name())):
        flops = count_training_flops(run.config, tokens, squares, completions, run.train.method) / tokens
        result["mfu"] = {key: round(statistics.median(values) * flops / peak, 4) for key, values in speeds.items()}
    return {**result, "ratio": ratios}


def main() -> None:
    """Measure all three and write the result."""
    profile, steps, rounds, config = [*sys.argv[1:], *("demo", "20", "5", "")[len(sys.argv) - 1 :]]
    silence_libraries()
    model = Model.load(profile)
    rows = read_jsonl("data/mix/train.jsonl")
    shape = model.scratch or Model.load("demo").scratch
    assert shape is not None
    tokenizer = new_tokenizer(iterate_texts(rows), shape)
    plain = {
        "method": Method.full,
        "deepspeed": None,
        "optimizer": Optimizer.adamw,
        "schedule": Schedule.constant,
        "warmup": 0.0,
        "kl_weight": 0.0,
        "on_long_row": LongRow.drop,
        "max_steps": int(steps),
    }
    train = Train.load(profile).model_copy(update=plain)
    run = TrainingJob(
        stage="train",
        section="train",
        key="",
        train=train,
        seed=0,
        config=AutoConfig.from_pretrained(config) if config else new_config(tokenizer, shape),
        tokenizer=tokenizer,
        load_model=lambda dtype: make_model(run),
        output=Path("unused"),
    )
    machine = torch.cuda.get_device_name().replace(" ", "-") if GPU else f"cpu{torch.get_num_threads()}"
    result = {
        "command": " ".join(["python -m benchmarks.train", *sys.argv[1:]]),
        "machine": machine,
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "parameters": make_model(run).num_parameters(),
        "steps": int(steps),
        **measure_speeds(run, rows, int(steps), int(rounds)),
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/train-{profile}-{machine}-{day}.json")
    write_json(out, result)
    print(result["ratio"], out)


if __name__ == "__main__":
    main()
